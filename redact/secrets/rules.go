package secrets

import (
	"encoding/binary"
	"fmt"
	"math"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/zricethezav/gitleaks/v8/config"
)

// rule finds one kind of secret.
type rule struct {
	id      string
	pattern *pattern
	// lead is the class of at most leadMax characters that belong to the match
	// before its fixed part.
	lead    *class
	leadMax int
	group   int // of the pattern, that is the secret; 0: the first that matched
	entropy float64
	digit   bool // the secret must have one, and be no checksum
	words   bool // the secret may be the name of a method that is called: s.Name
	// keywords, one of which must be near, unless the pattern implies it.
	keywords []string
	allows   []*allow
	// options, one of which must follow soon: two rules on curl are slow without.
	options []string
	// secret narrows down what was found, or refuses it.
	secret func(text []byte, start, end int) (int, int, bool)
	// own rules judge by secret alone.
	own bool
}

// The parts of gitleaks' configuration that are used here. Its own loader is not:
// it compiles every pattern with package regexp.
type gitleaks struct {
	Allowlist  *allowConfig
	Allowlists []*globalAllowConfig
	Rules      []*ruleConfig
}

type ruleConfig struct {
	ID          string
	Path        string
	Regex       string
	SecretGroup int
	Entropy     float64
	Keywords    []string
	SkipReport  bool
	Allowlist   *allowConfig
	Allowlists  []*allowConfig
}

type globalAllowConfig struct {
	TargetRules []string
	allowConfig
}

type allowConfig struct {
	Condition   string
	Commits     []string
	Paths       []string
	RegexTarget string
	Regexes     []string
	Stopwords   []string
}

// near is how far from a match a keyword may be that the pattern does not imply.
const near = 256

// replaced are rules of gitleaks in whose place there are our own.
var replaced = map[string]bool{
	"private-key": true, // ours needs no end, and finds the other formats
	// The file name makes it: without, it finds every short word as a password.
	"hashicorp-tf-password": true,
}

// A token's end, and what it is made into: gitleaks reads source code, where a token ends
// with a quote or a space; in other texts a sentence or a list goes on.
const (
	codeEnd = "(?:[\\x60'\"\\s;]|\\\\[nr]|$)"
	textEnd = "(?:[\\x60'\"\\s;,)\\]}<>&|]|[.:!?](?:\\s|$)|\\\\[nr]|$)"
)

// assignLead begins the patterns that look for a name, an assignment and a value.
const assignLead = "[\\w.-]{0,50}?"

// load returns the rules in force, ours included, and the filter for their anchors.
func load(disable []string) ([]*rule, []*allow, *filter, error) {
	var c gitleaks
	if err := toml.Unmarshal([]byte(config.DefaultConfig), &c); err != nil {
		return nil, nil, nil, fmt.Errorf("reading gitleaks' rules: %w", err)
	}
	b := &builder{index: map[string]int{}, placer: placer{}}
	var global []*allow
	targeted := map[string][]*allowConfig{}
	if c.Allowlist != nil {
		c.Allowlists = append(c.Allowlists, &globalAllowConfig{allowConfig: *c.Allowlist})
	}
	for _, g := range c.Allowlists {
		if len(g.TargetRules) > 0 {
			for _, id := range g.TargetRules {
				targeted[id] = append(targeted[id], &g.allowConfig)
			}
			continue
		}
		a, err := newAllow(&g.allowConfig)
		if err != nil {
			return nil, nil, nil, err
		}
		if a != nil {
			global = append(global, a)
		}
	}
	for _, r := range c.Rules {
		if !r.used() || slices.Contains(disable, r.ID) {
			continue
		}
		if r.Allowlist != nil {
			r.Allowlists = append(r.Allowlists, r.Allowlist)
		}
		r.Allowlists = append(r.Allowlists, targeted[r.ID]...)
		if err := b.gitleaks(r); err != nil {
			return nil, nil, nil, fmt.Errorf("gitleaks' rule %s: %w", r.ID, err)
		}
	}
	for _, r := range ownRules {
		if slices.Contains(disable, r.id) {
			continue
		}
		if err := b.own(r); err != nil {
			return nil, nil, nil, fmt.Errorf("rule %s: %w", r.id, err)
		}
	}
	return b.rules, global, newFilter(b.anchors, b.placer), nil
}

// builder collects rules and their anchors; equal anchors are one.
type builder struct {
	rules   []*rule
	anchors []anchor
	index   map[string]int
	placer  placer
}

func (b *builder) gitleaks(c *ruleConfig) error {
	source := c.Regex
	if !strings.Contains(source, assignLead) {
		source = strings.ReplaceAll(source, codeEnd, textEnd)
	}
	r := &rule{
		id: c.ID, group: c.SecretGroup, entropy: c.Entropy, keywords: c.Keywords,
		digit: strings.HasPrefix(c.ID, "generic"), words: c.ID == "vault-service-token",
	}
	switch c.ID {
	case "curl-auth-header":
		r.options = []string{"-H", "--header"}
	case "curl-auth-user":
		r.options = []string{"-u", "--user"}
	}
	for _, a := range c.Allowlists {
		list, err := newAllow(a)
		if err != nil {
			return err
		}
		if list != nil {
			r.allows = append(r.allows, list)
		}
	}
	return b.add(r, source)
}

func (b *builder) own(o ownRule) error {
	return b.add(&rule{id: o.id, secret: o.secret, own: true}, o.pattern)
}

func (b *builder) add(r *rule, source string) error {
	p, re, err := compile(source, func(re *syntax.Regexp) *syntax.Regexp {
		re, r.lead, r.leadMax = skipLead(re)
		return re
	})
	if err != nil {
		return err
	}
	r.pattern = p
	if r.group >= r.pattern.groups {
		return fmt.Errorf("it has no group %d", r.group)
	}
	drafts, nearby := prefixes(re), false
	words := make([]draft, len(r.keywords))
	for i, k := range r.keywords {
		words[i] = keywordDraft(k)
	}
	// A match that begins with nothing particular is sought around keywords.
	if cost := b.placer.price(drafts); len(words) > 0 && cost > rare && b.placer.price(words) < cost/10 {
		drafts, nearby = words, true
	} else if math.IsInf(cost, 1) {
		return fmt.Errorf("it has no anchor")
	}
	if nearby || implied(drafts, r.keywords) {
		r.keywords = nil
	}
	at := len(b.rules)
	b.rules = append(b.rules, r)
	for _, d := range drafts {
		b.anchor(d, use{rule: at, near: nearby})
	}
	return nil
}

// rare is how often the grams of a rule may be met without a doubt.
const rare = 1e-3

func (b *builder) anchor(d draft, u use) {
	raw := make([]byte, 0, 1+len(d.sets)*32)
	raw = append(raw, '-')
	if d.lead {
		raw[0] = '^'
	}
	for _, s := range d.sets {
		for _, word := range s {
			raw = binary.LittleEndian.AppendUint64(raw, word)
		}
	}
	key := string(raw)
	i, ok := b.index[key]
	if !ok {
		i = len(b.anchors)
		b.index[key] = i
		b.anchors = append(b.anchors, anchor{sets: d.sets, lead: d.lead})
	}
	if !slices.Contains(b.anchors[i].rules, u) {
		b.anchors[i].rules = append(b.anchors[i].rules, u)
	}
}

// implied reports whether each of the anchors holds a keyword.
func implied(drafts []draft, keywords []string) bool {
	if len(keywords) == 0 {
		return true
	}
	return !slices.ContainsFunc(drafts, func(d draft) bool {
		return !slices.ContainsFunc(keywords, func(k string) bool { return holds(d.sets, keywordDraft(k).sets) })
	})
}

func holds(sets, word []set) bool {
	for i := 0; i+len(word) <= len(sets); i++ {
		ok := true
		for k := range word {
			for b := range word[k] {
				ok = ok && sets[i+k][b]&^word[k][b] == 0
			}
		}
		if ok {
			return true
		}
	}
	return false
}
