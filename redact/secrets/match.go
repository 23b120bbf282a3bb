package secrets

import (
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"regexp/syntax"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// pattern is a regular expression that is matched at a given place of a text.
//
// It means what package regexp means by the same expression, but suits rules
// for secrets better: nearly all of them are a row of classes with counts. A
// count such as {10,150} costs regexp 150 instructions; here it costs one loop.
// So hundreds of rules are ready within milliseconds and in some hundred
// kilobytes, and a match runs at some nanoseconds a byte. The price is
// backtracking, which a hostile text can drive; each match has a budget of steps,
// and one that exceeds it is done again by regexp, in linear time.
type pattern struct {
	run     step // nil: only regexp can match it
	groups  int
	first   set    // what a match can begin with
	empty   bool   // a match can be at the end of the text
	atStart bool   // a match can only be at the beginning of the text
	pairs   *pairs // what a match can begin with; may be nil

	std func() *regexp.Regexp // anchored; compiled at first need
}

// maxGroups bounds the groups of a pattern: gitleaks' rule jwt-base64 has 34.
const maxGroups = 40

// maxSteps is the budget of one match; ordinary ones need some tens of steps.
const maxSteps = 4096

// maxExpand bounds how often a repeated group is written out.
const maxExpand = 8

// stdWindow is how many bytes package regexp is given.
const stdWindow = 1 << 10

// machine is the state of matching. It is reused.
type machine struct {
	text  []byte
	caps  [2 * maxGroups]int
	end   int
	steps int
}

// step matches the rest of a pattern from text[i] on.
type step func(m *machine, i int) bool

var errUnsupported = errors.New("pattern is beyond the matcher")

// compile returns the pattern of a regular expression in Go's syntax, and what
// that was parsed and changed to by prune.
func compile(source string, prune func(*syntax.Regexp) *syntax.Regexp) (*pattern, *syntax.Regexp, error) {
	parse := func() (*syntax.Regexp, error) {
		re, err := syntax.Parse(source, syntax.Perl)
		if err != nil {
			return nil, fmt.Errorf("reading a pattern: %w", err)
		}
		return prune(re), nil
	}
	re, err := parse()
	if err != nil {
		return nil, nil, err
	}
	p := &pattern{groups: re.MaxCap() + 1, atStart: beginsText(re)}
	if p.groups > maxGroups {
		return nil, nil, fmt.Errorf("pattern has %d groups, above the limit of %d", p.groups, maxGroups)
	}
	p.std = sync.OnceValue(func() *regexp.Regexp {
		again, _ := parse() // as above
		return regexp.MustCompile(`\A(?:` + again.String() + `)`)
	})
	node, err := build(re, rest{start: start{
		run:   func(m *machine, i int) bool { m.end = i; return true },
		first: allBytes,
		empty: true,
	}})
	switch {
	case errors.Is(err, errUnsupported):
		p.first, p.empty = allBytes, true
	case err != nil:
		return nil, nil, err
	default:
		p.run, p.first, p.empty = node.run, node.first, node.empty
	}
	return p, re, nil
}

// match reports whether p matches at text[i]; then m.end and m.caps say where.
func (p *pattern) match(m *machine, text []byte, i int) bool {
	if i < len(text) && !p.first.has(text[i]) || i >= len(text) && !p.empty {
		return false
	}
	m.text, m.steps = text, 0
	for k := range 2 * p.groups {
		m.caps[k] = -1
	}
	if p.run != nil {
		matched := p.run(m, i)
		if m.steps <= maxSteps {
			m.caps[0], m.caps[1] = i, m.end
			return matched
		}
	}
	// \A at i makes a border of i, whatever is before it; anchors look there.
	loc := p.std().FindSubmatchIndex(text[i:min(len(text), i+stdWindow)])
	if loc == nil {
		return false
	}
	for k, at := range loc {
		m.caps[k] = -1
		if at >= 0 {
			m.caps[k] = at + i
		}
	}
	m.end = m.caps[1]
	return true
}

// rest is what is left of a pattern: how it is matched, and what it can begin
// with, which spares many a try.
type rest struct {
	start
	ahead ahead
}

type start struct {
	run   step
	first set
	empty bool // can match at the end of the text
}

// ahead is what must be in a text for a rest to match: at most reach bytes of
// over, then one of must. It tells at little cost that no assignment follows a
// word such as "key".
type ahead struct {
	over, must set
	reach      int
}

// minReach is from which reach on a loop looks ahead.
const minReach = 8

func (a *ahead) holds(text []byte, i int) bool {
	for n := 0; i < len(text); i++ {
		if a.must.has(text[i]) {
			return true
		}
		if !a.over.has(text[i]) || n == a.reach {
			return false
		}
		n++
	}
	return false
}

// lookAhead returns what is ahead of up to high characters of c before next.
func lookAhead(c *class, low, high int, node, next *rest) ahead {
	if low > 0 || high < 0 || len(c.wide) > 0 && !foldOnly(c) || next.empty {
		return ahead{must: node.first}
	}
	a := next.ahead
	if a.reach == 0 {
		a = ahead{must: next.first}
	}
	a.over.or(&c.ascii)
	a.reach += high
	return a
}

func (r *start) can(m *machine, i int) bool {
	if i < len(m.text) {
		return r.first.has(m.text[i])
	}
	return r.empty
}

// build returns re followed by next.
func build(re *syntax.Regexp, next rest) (rest, error) {
	if c, ok := newClass(re); ok {
		return loop(c, 1, 1, true, next), nil
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return next, nil
	case syntax.OpLiteral:
		return literal(re, next), nil
	case syntax.OpConcat:
		var err error
		for k := len(re.Sub) - 1; k >= 0 && err == nil; k-- {
			next, err = build(re.Sub[k], next)
		}
		return next, err
	case syntax.OpAlternate:
		return alternate(re, next)
	case syntax.OpCapture:
		return capture(re, next)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return repeat(re, next)
	case syntax.OpBeginText:
		return assert(next, func(m *machine, i int) bool { return i == 0 }), nil
	case syntax.OpEndText:
		return assert(rest{start: start{run: next.run, empty: next.empty}}, func(m *machine, i int) bool { return i == len(m.text) }), nil
	case syntax.OpBeginLine:
		return assert(next, func(m *machine, i int) bool { return i == 0 || m.text[i-1] == '\n' }), nil
	case syntax.OpEndLine:
		return assert(next, func(m *machine, i int) bool { return i == len(m.text) || m.text[i] == '\n' }), nil
	case syntax.OpWordBoundary:
		return assert(next, func(m *machine, i int) bool { return wordAt(m.text, i) }), nil
	case syntax.OpNoWordBoundary:
		return assert(next, func(m *machine, i int) bool { return !wordAt(m.text, i) }), nil
	}
	return rest{}, errUnsupported
}

// literal returns a row of characters followed by next.
func literal(re *syntax.Regexp, next rest) rest {
	fold := re.Flags&syntax.FoldCase != 0
	runes := slices.Clone(re.Rune)
	each := func() rest {
		node := next
		for k := len(runes) - 1; k >= 0; k-- {
			node = loop(literalClass(runes[k], fold), 1, 1, true, node)
		}
		return node
	}
	word, wide := []byte(nil), false
	for _, r := range runes {
		if r >= utf8.RuneSelf {
			return each()
		}
		if fold {
			r = unicode.ToLower(r)
			wide = wide || r == 'k' || r == 's'
		}
		word = append(word, byte(r))
	}
	// Outside ASCII there are letters that fold to k and s. They are rare, and a node for each
	// character would be most of what all patterns take.
	slow := sync.OnceValue(func() step { return each().run })
	after := next.run
	first := literalClass(runes[0], fold).first()
	run := func(m *machine, i int) bool {
		if i+len(word) > len(m.text) {
			return false
		}
		for k, b := range m.text[i : i+len(word)] {
			if fold && 'A' <= b && b <= 'Z' {
				b += 'a' - 'A'
			}
			if b != word[k] {
				return wide && b >= utf8.RuneSelf && slow()(m, i)
			}
		}
		return after(m, i+len(word))
	}
	return rest{start{run: run, first: first}, ahead{must: first}}
}

func assert(next rest, ok func(*machine, int) bool) rest {
	run := next.run
	next.run = func(m *machine, i int) bool { return ok(m, i) && run(m, i) }
	return next
}

func capture(re *syntax.Regexp, next rest) (rest, error) {
	from, to := 2*re.Cap, 2*re.Cap+1
	after := next.run
	next.run = func(m *machine, i int) bool {
		old := m.caps[to]
		m.caps[to] = i
		if after(m, i) {
			return true
		}
		m.caps[to] = old
		return false
	}
	in, err := build(re.Sub[0], next)
	if err != nil {
		return rest{}, err
	}
	inner := in.run
	in.run = func(m *machine, i int) bool {
		old := m.caps[from]
		m.caps[from] = i
		if inner(m, i) {
			return true
		}
		m.caps[from] = old
		return false
	}
	return in, nil
}

func alternate(re *syntax.Regexp, next rest) (rest, error) {
	branches := make([]start, len(re.Sub))
	all := rest{}
	for k, sub := range re.Sub {
		b, err := build(sub, next)
		if err != nil {
			return rest{}, err
		}
		branches[k] = b.start
		all.first.or(&b.first)
		all.empty = all.empty || b.empty
	}
	if 8 < len(branches) && len(branches) <= 64 {
		all.run = manyBranches(branches)
		return all, nil
	}
	all.run = func(m *machine, i int) bool {
		for k := range branches {
			if b := &branches[k]; b.can(m, i) && b.run(m, i) {
				return true
			}
		}
		return false
	}
	return all, nil
}

// manyBranches looks up by the next byte which branches can match.
func manyBranches(branches []start) step {
	by := new([257]uint64) // 256: the end of the text
	for k, b := range branches {
		for c := range 256 {
			if b.first.has(byte(c)) {
				by[c] |= 1 << k
			}
		}
		if b.empty {
			by[256] |= 1 << k
		}
	}
	return func(m *machine, i int) bool {
		c := 256
		if i < len(m.text) {
			c = int(m.text[i])
		}
		for left := by[c]; left != 0; left &= left - 1 {
			if branches[bits.TrailingZeros64(left)].run(m, i) {
				return true
			}
		}
		return false
	}
}

func repeat(re *syntax.Regexp, next rest) (rest, error) {
	low, high := re.Min, re.Max
	switch re.Op {
	case syntax.OpStar:
		low, high = 0, -1
	case syntax.OpPlus:
		low, high = 1, -1
	case syntax.OpQuest:
		low, high = 0, 1
	}
	greedy := re.Flags&syntax.NonGreedy == 0
	if c, ok := newClass(re.Sub[0]); ok {
		return loop(c, low, high, greedy, next), nil
	}
	if high < 0 || high > maxExpand {
		return rest{}, errUnsupported
	}
	node := next
	for k := high - 1; k >= 0; k-- {
		once, err := build(re.Sub[0], node)
		if err != nil {
			return rest{}, err
		}
		if k < low {
			node = once
			continue
		}
		a, b := once.start, next.start
		if !greedy {
			a, b = b, a
		}
		node = rest{start: start{first: a.first, empty: a.empty || b.empty}}
		node.first.or(&b.first)
		node.run = func(m *machine, i int) bool {
			return a.can(m, i) && a.run(m, i) || b.can(m, i) && b.run(m, i)
		}
	}
	return node, nil
}

// single matches one character of c and then next.
func single(c *class, next start) step {
	return func(m *machine, i int) bool {
		if i >= len(m.text) {
			return false
		}
		w := c.width(m.text, i)
		return w > 0 && next.can(m, i+w) && next.run(m, i+w)
	}
}

// loop returns low to high characters of c, or any number if high is negative,
// followed by next.
func loop(c *class, low, high int, greedy bool, next rest) rest {
	node := rest{start: start{first: c.first()}}
	if low == 0 {
		node.first.or(&next.first)
		node.empty = next.empty
	}
	node.ahead = lookAhead(c, low, high, &node, &next)
	switch {
	case low == 1 && high == 1:
		node.run = single(c, next.start)
	case greedy:
		node.run = longest(c, low, high, node.ahead, next)
	default:
		node.run = shortest(c, low, high, node.ahead, next)
	}
	return node
}

// longest tries as many characters of c as there are first, and then fewer.
func longest(c *class, low, high int, own ahead, next rest) step {
	look := own.reach >= minReach
	// What comes next cannot begin with what the loop took: fewer of that will not do either.
	taken := c.first()
	apart := taken.apart(&next.first)
	return func(m *machine, i int) bool {
		if look && !own.holds(m.text, i) {
			return false
		}
		n := 0
		for text := m.text; i < len(text) && n != high; n++ {
			b := text[i]
			if c.ascii[b>>6]>>(b&63)&1 != 0 {
				i++
				continue
			}
			if b < utf8.RuneSelf {
				break
			}
			w := c.width(text, i)
			if w == 0 {
				break
			}
			i += w
		}
		for ; n >= low; n-- {
			if next.can(m, i) && (next.ahead.reach == 0 || next.ahead.holds(m.text, i)) {
				if m.steps++; m.steps > maxSteps {
					return false
				}
				if next.run(m, i) {
					return true
				}
			}
			if n == 0 || apart {
				return false
			}
			if m.text[i-1] < utf8.RuneSelf {
				i--
			} else {
				_, w := utf8.DecodeLastRune(m.text[:i])
				i -= w
			}
		}
		return false
	}
}

// shortest tries as few characters of c as there may be first, and then more.
func shortest(c *class, low, high int, own ahead, next rest) step {
	look := own.reach >= minReach
	return func(m *machine, i int) bool {
		if look && !own.holds(m.text, i) {
			return false
		}
		for n := 0; ; n++ {
			if n >= low && next.can(m, i) {
				if m.steps++; m.steps > maxSteps {
					return false
				}
				if next.run(m, i) {
					return true
				}
			}
			if n == high || i >= len(m.text) {
				return false
			}
			w := c.width(m.text, i)
			if w == 0 {
				return false
			}
			i += w
		}
	}
}
