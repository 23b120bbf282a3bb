package secrets

import (
	"bytes"
	"fmt"
	"math"
	"regexp/syntax"
	"slices"
	"strings"
)

// allow is an allow-list: what it knows is no secret.
type allow struct {
	target    string // what regexes are held against: "" for the secret, "match", "line"
	all       bool   // all of what is given must hold, not one
	regexes   []*pattern
	stopwords *stopwords
}

// lineReach is how far on both sides of a match its line is looked at. A
// JSON document is one line of any length, and what stands far off in it says nothing
// about a match.
const lineReach = 128

// newAllow returns the allow-list that gitleaks' configuration describes, or nil
// if it can allow nothing here: there are no commits and no file names, and what
// would be a name in a text is the attacker's word.
func newAllow(c *allowConfig) (*allow, error) {
	a := &allow{target: c.RegexTarget}
	switch strings.ToUpper(c.Condition) {
	case "", "OR", "||":
	case "AND", "&&":
		if len(c.Paths)+len(c.Commits) > 0 {
			return nil, nil
		}
		a.all = true
	default:
		return nil, fmt.Errorf("allow-list has the unknown condition %q", c.Condition)
	}
	switch c.RegexTarget {
	case "secret":
		a.target = ""
	case "", "match", "line":
	default:
		return nil, fmt.Errorf("allow-list has the unknown regexTarget %q", c.RegexTarget)
	}
	for _, source := range c.Regexes {
		p, re, err := compile(source, dropLead)
		if err != nil {
			return nil, fmt.Errorf("reading an allow-list: %w", err)
		}
		p.pairs = newPairs(re)
		a.regexes = append(a.regexes, p)
	}
	if len(c.Stopwords) > 0 {
		a.stopwords = newStopwords(c.Stopwords)
	}
	if len(a.regexes) == 0 && a.stopwords == nil {
		return nil, nil
	}
	return a, nil
}

// dropLead removes runs of any length, none included, that a pattern begins
// with: whether it is somewhere in a text does not depend on them.
func dropLead(re *syntax.Regexp) *syntax.Regexp {
	switch re.Op {
	case syntax.OpStar:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	case syntax.OpAlternate:
		out := *re
		out.Sub = slices.Clone(re.Sub)
		for i := range out.Sub {
			out.Sub[i] = dropLead(out.Sub[i])
		}
		return &out
	case syntax.OpConcat:
		out := *re
		out.Sub = slices.Clone(re.Sub)
		out.Sub[0] = dropLead(out.Sub[0])
		return &out
	}
	return re
}

// allows reports whether the list allows the secret that text[start:end] matched
// a rule for.
func (a *allow) allows(s *scan, secret []byte, start, end int) bool {
	target := secret
	switch a.target {
	case "match":
		target = s.text[start:end]
	case "line":
		target = line(s.text, start, end)
	}
	if a.all {
		return (len(a.regexes) == 0 || a.matches(s, target)) &&
			(a.stopwords == nil || a.stopwords.in(secret))
	}
	return a.stopwords != nil && a.stopwords.in(secret) || a.matches(s, target)
}

func (a *allow) matches(s *scan, target []byte) bool {
	for _, p := range a.regexes {
		if p.search(&s.aux, target) {
			return true
		}
	}
	return false
}

// line returns the line that text[start:end] is in, as far as it is looked at.
func line(text []byte, start, end int) []byte {
	from, to := max(0, start-lineReach), min(len(text), end+lineReach)
	from += bytes.LastIndexByte(text[from:start], '\n') + 1
	if n := bytes.IndexByte(text[end:to], '\n'); n >= 0 {
		to = end + n
	}
	return text[from:to]
}

// stopwords finds any of many words in a text, in any case.
type stopwords struct {
	words []string
	heads [1<<stopBits + 1]uint16    // words[heads[h]:heads[h+1]] have the hash h
	some  [1 << stopBits / 64]uint64 // a bit for each hash that there are words of
	short []string                   // those of less than three bytes
}

const stopBits = 12

func stopHash(a, b, c byte) uint32 {
	return (uint32(a) | uint32(b)<<8 | uint32(c)<<16) * 0x9E3779B1 >> (32 - stopBits)
}

func newStopwords(words []string) *stopwords {
	w := &stopwords{}
	hash := func(s string) uint32 { return stopHash(s[0], s[1], s[2]) }
	for _, word := range words {
		word = strings.ToLower(word)
		if len(word) < 3 {
			w.short = append(w.short, word)
			continue
		}
		w.words = append(w.words, word)
	}
	slices.SortFunc(w.words, func(a, b string) int { return int(hash(a)) - int(hash(b)) })
	for _, word := range w.words {
		w.heads[hash(word)+1]++
		w.some[hash(word)/64] |= 1 << (hash(word) % 64)
	}
	for h := range 1 << stopBits {
		w.heads[h+1] += w.heads[h]
	}
	return w
}

// lower is a byte in lower case.
var lower = func() (t [256]byte) {
	for b := range t {
		t[b] = byte(b)
		if 'A' <= b && b <= 'Z' {
			t[b] += 'a' - 'A'
		}
	}
	return t
}()

// in reports whether a stopword is in text.
func (w *stopwords) in(text []byte) bool {
	if len(w.words) > 0 && len(text) >= 3 {
		a, b := lower[text[0]], lower[text[1]]
		for i, c := range text[2:] {
			c = lower[c]
			if h := stopHash(a, b, c); w.some[h/64]>>(h%64)&1 != 0 {
				for _, word := range w.words[w.heads[h]:w.heads[h+1]] {
					if beginsWith(text[i:], word) {
						return true
					}
				}
			}
			a, b = b, c
		}
	}
	for _, word := range w.short {
		for i := range text {
			if beginsWith(text[i:], word) {
				return true
			}
		}
	}
	return false
}

// beginsWith reports whether text begins with a word that is in lower case, in any case.
func beginsWith(text []byte, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		if lower[text[i]] != word[i] {
			return false
		}
	}
	return true
}

// growth[n] is (n+1)·log₂(n+1) − n·log₂(n).
var growth = func() (t [256]float64) {
	xlogx := 0.0
	for n := range t {
		next := float64(n+1) * math.Log2(float64(n+1))
		t[n], xlogx = next-xlogx, next
	}
	return t
}()

// entropy returns the Shannon entropy of text in bits a byte. gitleaks counts
// characters; the rules' secrets are ASCII, where that is the same. Of a long text the
// beginning is looked at.
func entropy(text []byte) float64 {
	text = text[:min(len(text), 4096)]
	if len(text) == 0 {
		return 0
	}
	// H = log₂(n) − Σ c·log₂(c) / n, the sum grown byte by byte.
	var counts [256]uint16
	sum := 0.0
	for _, b := range text {
		c := counts[b]
		counts[b]++
		if int(c) < len(growth) {
			sum += growth[c]
		} else {
			x := float64(c)
			sum += (x+1)*math.Log2(x+1) - x*math.Log2(x)
		}
	}
	n := float64(len(text))
	return math.Log2(n) - sum/n
}
