package secrets

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"
)

// scan is one text being searched. It is reused.
type scan struct {
	*Detector
	text  []byte
	until time.Time
	finds []Find
	first int // of finds, that this scan made

	rules []progress
	m     machine // of the rule that is tried
	aux   machine // of its allow-lists
	work  int
	late  bool
}

// progress is how far a rule got.
type progress struct {
	end   int // of its last match: the next one begins there or later
	tried int // one more than where it was last tried
	seen  int // of the texts around its keywords
}

const (
	// checkEvery is after how many anchors, checkBytes after how many bytes the clock is read.
	checkEvery = 16
	checkBytes = 1 << 18
)

func (s *scan) reset(d *Detector, text []byte, until time.Time) {
	s.Detector, s.text, s.until = d, text, until
	s.m.text, s.aux.text, s.finds = nil, nil, nil
	s.work, s.late = 0, false
	clear(s.rules)
}

func (s *scan) run() error {
	s.first = len(s.finds)
	f, text := s.filter, s.text
	for from := 0; from < len(text); from += checkBytes {
		if s.overtime() {
			return ErrTime
		}
		end := min(len(text), from+checkBytes)
		// next reads up to two bytes beyond the last position that it looks at.
		for i, h := f.next(text, from, end); i >= 0; i, h = f.next(text, i+2, end) {
			list := h >> (64 - listBits)
			for _, e := range f.entries[f.lists[list]:f.lists[list+1]] {
				if e.check != check(h) {
					continue
				}
				a := &f.anchors[e.anchor]
				if start := i - int(e.offset); a.at(text, start) {
					s.visit(a, start)
				}
			}
			if s.late {
				return ErrTime
			}
		}
	}
	s.sort()
	return nil
}

// visit tries the rules of an anchor at text[start].
func (s *scan) visit(a *anchor, start int) {
	if s.work++; s.work%checkEvery == 0 && s.overtime() {
		s.late = true
		return
	}
	if a.lead {
		start++
	}
	for _, u := range a.rules {
		if !u.near {
			s.try(u.rule, start)
			continue
		}
		p := &s.rules[u.rule]
		end := min(len(s.text), start+near)
		for i := max(p.seen, start-near); i < end; i++ {
			s.try(u.rule, i)
		}
		p.seen = max(p.seen, end)
	}
}

func (s *scan) overtime() bool { return !s.until.IsZero() && !time.Now().Before(s.until) }

// try adds the secret that a rule finds at text[start], if it does.
func (s *scan) try(n, start int) {
	p := &s.rules[n]
	if start < p.end || start+1 == p.tried {
		return
	}
	p.tried = start + 1
	r := s.Detector.rules[n]
	if len(r.options) > 0 && !slices.ContainsFunc(r.options, func(o string) bool {
		return bytes.Contains(s.text[start:min(len(s.text), start+stdWindow)], []byte(o))
	}) {
		return
	}
	if !r.pattern.match(&s.m, s.text, start) {
		return
	}
	end := s.m.end
	p.end = end
	from, to := s.m.caps[2*r.group], s.m.caps[2*r.group+1]
	if r.group == 0 {
		for g := 1; g < r.pattern.groups; g++ {
			if s.m.caps[2*g] < s.m.caps[2*g+1] {
				from, to = s.m.caps[2*g], s.m.caps[2*g+1]
				break
			}
		}
	}
	if from < 0 || from == to {
		return
	}
	if r.secret != nil {
		var ok bool
		if from, to, ok = r.secret(s.text, from, to); !ok {
			// What was refused may hide another match: it was not a secret's end.
			p.end = start + 1
			return
		}
		p.end = max(p.end, to)
	}
	if !r.own && s.allowed(r, start, end, from, to) {
		return
	}
	s.finds = append(s.finds, Find{Start: from, End: to, Rule: r.id})
}

// allowed reports whether text[from:to] is no secret after all.
func (s *scan) allowed(r *rule, start, end, from, to int) bool {
	secret := s.text[from:to]
	if r.digit && !bytes.ContainsAny(secret, "0123456789") {
		return true
	}
	// Like the alphabet, which gitleaks excludes: no key has it by chance.
	if bytes.Contains(secret, []byte("123456789")) {
		return true
	}
	if r.entropy > 0 && entropy(secret) <= r.entropy {
		return true
	}
	if r.digit && integrity(s.text, from) || r.words && identifierWords(secret) {
		return true
	}
	if len(r.keywords) > 0 && !s.keyword(r, start, end) {
		return true
	}
	if r.lead != nil {
		for n := 0; n < r.leadMax && start > 0 && r.lead.width(s.text, start-1) == 1; n++ {
			start--
		}
	}
	// Like gitleaks, which cuts line feeds off a match.
	for end > start && s.text[end-1] == '\n' {
		end--
	}
	allows := func(a *allow) bool { return a.allows(s, secret, start, end) }
	return slices.ContainsFunc(r.allows, allows) || slices.ContainsFunc(s.global, allows)
}

func (s *scan) keyword(r *rule, start, end int) bool {
	around := s.text[max(0, start-near):min(len(s.text), end+near)]
	low := strings.ToLower(string(around))
	return slices.ContainsFunc(r.keywords, func(k string) bool { return strings.Contains(low, strings.ToLower(k)) })
}

// sort orders the finds of this scan and leaves one of those that are the same
// text, preferably not of the generic rule.
func (s *scan) sort() {
	mine := s.finds[s.first:]
	generic := func(f Find) int {
		if f.Rule == "generic-api-key" {
			return 1
		}
		return 0
	}
	order := func(a, b Find) int {
		if a.Start != b.Start {
			return cmp.Compare(a.Start, b.Start)
		}
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(generic(a), generic(b)))
	}
	if !slices.IsSortedFunc(mine, order) {
		slices.SortStableFunc(mine, order)
	}
	mine = slices.CompactFunc(mine, func(a, b Find) bool { return a.Start == b.Start && a.End == b.End })
	s.finds = s.finds[:s.first+len(mine)]
}
