package redact

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/redact/pii"
	"github.com/mcpfirewall/mcpfirewall/redact/secrets"
)

// Action is what happens to a find.
type Action string

// The actions, from the strictest on. Where finds overlap, the strictest wins.
const (
	Block    Action = "block"    // the whole text is withheld: ErrBlocked
	Mask     Action = "mask"     // [redacted:email]
	Hash     Action = "hash"     // [email#0123456789abcdef], keyed per session
	Tokenize Action = "tokenize" // <email:…>, which Restore turns back
	Allow    Action = "allow"    // it stays
)

// Actions are the words of [Action], from the strictest on.
var Actions = []Action{Block, Mask, Hash, Tokenize, Allow}

// Verdict is what happens to a call whose arguments hold a find.
type Verdict string

// The verdicts, from the strictest on.
const (
	Deny        Verdict = "deny"
	Ask         Verdict = "ask"
	MaskFinds   Verdict = "mask" // the call goes on without what was found
	AllowValues Verdict = "allow"
)

// Verdicts are the words of [Verdict], from the strictest on.
var Verdicts = []Verdict{Deny, Ask, MaskFinds, AllowValues}

// AnyType is the key that stands for all types which have none of their own.
const AnyType = "*"

// Options say what is found and what happens to it. The zero value masks
// secrets and lets personal data be.
type Options struct {
	Secrets Action // what happens to secrets; "" is Mask
	// Rules is the same for single rules of the secret detector, by their id. The rule
	// secrets.PasswordRule holds only where it is named here.
	Rules  map[string]Action
	PII    map[string]Action // what happens to personal data, by type or AnyType; without either it is not looked for
	Custom []Custom

	AllowValues   []string // no finds: texts that equal a find
	AllowPatterns []string // no finds: regular expressions that match all of a find

	Tools     []ToolOptions     // other actions for the results of some tools; of those that match, the strictest holds
	Restore   []string          // patterns of the tools that may get what a token stands for
	Arguments []ArgumentOptions // what is looked for in arguments; of those that match, the strictest holds

	// Time is how long one call may take, before 100 ms are added for each MiB
	// of text. 0 is 2 s.
	Time time.Duration
}

// Custom is a pattern of the user's own.
type Custom struct {
	Name    string // shown in masks, as letters, digits, - and _
	Pattern string // as of package regexp, without anchors at the ends of the text
	Then    Action // "" is Mask
}

// ToolOptions are for the results of the tools that match one of the patterns,
// which are like those of the policy: server.tool, where * is any run of
// characters. What is "" or missing is as for all tools.
type ToolOptions struct {
	Tools   []string
	Secrets Action
	PII     map[string]Action // by type or AnyType
	Custom  Action
}

// ArgumentOptions are for the arguments of calls to the tools that match.
// What is "" or missing is not looked for, except for known values: they are
// always masked at least, and otherwise as Secrets says.
type ArgumentOptions struct {
	Tools   []string
	Secrets Verdict
	PII     map[string]Verdict // by type or AnyType
	Custom  Verdict
}

const (
	defaultTime = 2 * time.Second
	perMiB      = 100 * time.Millisecond

	maxPattern = 1000 // bytes of one
)

// MaxPatterns is how many custom patterns there can be, since each is a look of its own
// at the whole text.
const MaxPatterns = 100

// settings is Options, compiled. It is immutable.
type settings struct {
	options   Options
	custom    []custom
	allowed   map[string]bool
	allow     []*regexp.Regexp
	wants     wants // for tools that no ToolOptions are for
	detectors detectors
}

// custom is a compiled pattern of the user's own.
type custom struct {
	name string // as shown
	then Action
	re   *regexp.Regexp
}

func newSettings(o Options) (*settings, error) {
	s := &settings{options: o, allowed: map[string]bool{}}
	if s.options.Time == 0 {
		s.options.Time = defaultTime
	}
	if s.options.Secrets == "" {
		s.options.Secrets = Mask
	}
	if err := errors.Join(s.compile()...); err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	return s, nil
}

// compile fills what is derived from the options, and returns what is wrong
// with them.
func (s *settings) compile() (wrong []error) {
	o := &s.options
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	action := func(what string, a Action) {
		if a != "" && !slices.Contains(Actions, a) {
			fail("%s: there is no action %q", what, a)
		}
	}
	typed := func(name string) {
		if name == AnyType {
			return
		}
		if err := knownType(name); err != nil {
			wrong = append(wrong, err)
		}
	}
	action("secrets", o.Secrets)
	for _, name := range slices.Sorted(maps.Keys(o.Rules)) {
		action("rule "+name, o.Rules[name])
	}
	for _, name := range slices.Sorted(maps.Keys(o.PII)) {
		action("personal data "+name, o.PII[name])
		typed(name)
	}
	for _, t := range o.Tools {
		action("secrets of tools", t.Secrets)
		action("custom patterns of tools", t.Custom)
		for _, name := range slices.Sorted(maps.Keys(t.PII)) {
			action("personal data "+name+" of tools", t.PII[name])
			typed(name)
		}
	}
	for _, a := range o.Arguments {
		for _, v := range append([]Verdict{a.Secrets, a.Custom}, slices.Collect(maps.Values(a.PII))...) {
			if v != "" && !slices.Contains(Verdicts, v) {
				fail("arguments: there is no verdict %q", v)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(a.PII)) {
			typed(name)
		}
	}
	for _, v := range o.AllowValues {
		s.allowed[v] = true
	}
	for _, p := range o.AllowPatterns {
		if re, err := CompilePattern(p, true); err != nil {
			fail("allowed pattern %q: %w", p, err)
		} else {
			s.allow = append(s.allow, re)
		}
	}
	if len(o.Custom) > MaxPatterns {
		fail("there are %d custom patterns, and at most %d can be", len(o.Custom), MaxPatterns)
		return wrong
	}
	for _, c := range o.Custom {
		action("custom pattern "+c.Name, c.Then)
		re, err := CompilePattern(c.Pattern, false)
		if err != nil {
			fail("custom pattern %q: %w", c.Name, err)
			continue
		}
		if c.Then == "" {
			c.Then = Mask
		}
		s.custom = append(s.custom, custom{slug(c.Name), c.Then, re})
	}
	s.wants = wants{secrets: o.Secrets != Allow || acts(o.Rules), pii: acts(o.PII), custom: len(s.custom) > 0, lookAlikes: s.tokenizes()}
	passwords := o.Rules[secrets.PasswordRule]
	if err := s.detectors.open(s.types(), passwords != "" && passwords != Allow); err != nil {
		fail("%w", err)
	}
	return wrong
}

// types returns the types of personal data that something happens to, somewhere.
func (s *settings) types() []string {
	maps := []map[string]Action{s.options.PII}
	for _, t := range s.options.Tools {
		maps = append(maps, t.PII)
	}
	var types []string
	for _, t := range pii.Types() {
		if slices.ContainsFunc(maps, func(m map[string]Action) bool { a := of(m, t.Name); return a != "" && a != Allow }) {
			types = append(types, t.Name)
		}
	}
	return types
}

// knownType errors if there is no such type of personal data.
func knownType(name string) error {
	if slices.ContainsFunc(pii.Types(), func(t pii.Type) bool { return t.Name == name }) {
		return nil
	}
	return fmt.Errorf("there is no type %q of personal data", name)
}

// tokenizes reports whether tokens are given out at all.
func (s *settings) tokenizes() bool {
	has := func(m map[string]Action) bool {
		return slices.Contains(slices.Collect(maps.Values(m)), Tokenize)
	}
	o := &s.options
	return o.Secrets == Tokenize || has(o.Rules) || has(o.PII) ||
		slices.ContainsFunc(o.Custom, func(c Custom) bool { return c.Then == Tokenize }) ||
		slices.ContainsFunc(o.Tools, func(t ToolOptions) bool { return t.Secrets == Tokenize || t.Custom == Tokenize || has(t.PII) })
}

// CompilePattern compiles a custom pattern, or with whole one that has to match
// all of a find. The error says what is wrong, as the end of a sentence.
func CompilePattern(pattern string, whole bool) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("is longer than %d bytes", maxPattern)
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("is no regular expression: %w", err)
	}
	if whole {
		return regexp.Compile(`^(?:` + pattern + `)$`)
	}
	if anchored(tree) {
		return nil, errors.New(`has an anchor (^, $, \A or \z), which would mean the end of the whole message: write \b, or (?m) for the ends of lines`)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("is no regular expression: %w", err)
	}
	if re.MatchString("") {
		return nil, errors.New("matches the empty text")
	}
	return re, nil
}

func anchored(tree *syntax.Regexp) bool {
	return tree.Op == syntax.OpBeginText || tree.Op == syntax.OpEndText || slices.ContainsFunc(tree.Sub, anchored)
}

// slug makes a name fit into a mask.
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '_':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s := strings.Trim(b.String(), "-")
	if s == "" {
		return "custom"
	}
	return s[:min(len(s), maxType)]
}

// limit returns when a call that begins now, on a text of so many bytes, must
// have ended.
func (s *settings) limit(size int) time.Time {
	return time.Now().Add(s.options.Time + time.Duration(size)*perMiB/(1<<20))
}

// rank orders actions: a higher one is stricter.
func (a Action) rank() int {
	if i := slices.Index(Actions, a); i >= 0 {
		return len(Actions) - i
	}
	return 0
}

// stricter returns the stricter of two, of which "" says nothing.
func stricter(a, b Action) Action {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

func (v Verdict) rank() int {
	if i := slices.Index(Verdicts, v); i >= 0 {
		return len(Verdicts) - i
	}
	return 0
}

// of returns what a map says of a type.
func of[V ~string](m map[string]V, typ string) V {
	if v, ok := m[typ]; ok {
		return v
	}
	return m[AnyType]
}

// action returns what happens to a find in a result of tool.
func (s *settings) action(tool string, d Detector, typ string) Action {
	var own, others Action
	for i := range s.options.Tools {
		t := &s.options.Tools[i]
		var a Action
		switch d {
		case DetectSecret:
			a = t.Secrets
		case DetectPII:
			a = of(t.PII, typ)
		case DetectCustom:
			a = t.Custom
		}
		switch {
		case matchesAny(t.Tools, tool):
			own = stricter(own, a)
		case !reachesAny(t.Tools, tool):
		case a == Block: // not for what may not concern the tool: lists would be withheld
			others = stricter(others, Mask)
		default:
			others = stricter(others, a)
		}
	}
	if own == "" {
		own = s.general(d, typ)
	}
	return stricter(own, others)
}

// general returns what happens to a find where nothing is said for the tool.
func (s *settings) general(d Detector, typ string) (own Action) {
	switch d {
	case DetectKnown:
		return Mask
	case DetectSecret:
		if a, ok := s.options.Rules[typ]; ok && a != "" {
			return a
		}
		return s.options.Secrets
	case DetectPII:
		if a := of(s.options.PII, typ); a != "" {
			return a
		}
		return Allow
	}
	for _, c := range s.custom {
		if c.name == typ {
			own = stricter(own, c.then)
		}
	}
	return own
}

// reachesAny reports whether tool is a server alone, "server.", and a pattern matches one
// of the tools that the server may have.
func reachesAny(patterns []string, tool string) bool {
	return strings.HasSuffix(tool, ".") && slices.ContainsFunc(patterns, func(p string) bool {
		p, server := strings.ToLower(p), strings.ToLower(tool)
		head, _, star := strings.Cut(p, "*")
		return strings.HasPrefix(head, server) || star && strings.HasPrefix(server, head)
	})
}

// wanted returns which detectors can have finds in a result of tool that do
// not all stay.
func (s *settings) wanted(tool string) wants {
	w := s.wants
	for i := range s.options.Tools {
		if t := &s.options.Tools[i]; matchesAny(t.Tools, tool) || reachesAny(t.Tools, tool) {
			w.secrets = w.secrets || t.Secrets != "" && t.Secrets != Allow
			w.pii = w.pii || acts(t.PII)
		}
	}
	return w
}

// acts reports whether not all of the actions are Allow.
func acts(m map[string]Action) bool {
	for _, a := range m {
		if a != Allow {
			return true
		}
	}
	return false
}

// listed reports whether value is on an allow-list.
func (s *settings) listed(value []byte) bool {
	if s.allowed[string(value)] {
		return true
	}
	for _, re := range s.allow {
		if re.Match(value) {
			return true
		}
	}
	return false
}

// matchesAny reports whether a pattern matches server.tool. As in the policy, *
// is any run of characters. Upper and lower case are the same, since most of
// what hangs on it is strict.
func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if matches(strings.ToLower(p), strings.ToLower(name)) {
			return true
		}
	}
	return false
}

func matches(pattern, s string) bool {
	pieces := strings.Split(pattern, "*")
	if len(pieces) == 1 {
		return s == pattern
	}
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s = s[i+len(piece):]
	}
	return true
}
