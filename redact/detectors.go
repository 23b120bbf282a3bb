package redact

import (
	"cmp"
	"errors"
	"regexp"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/redact/pii"
	"github.com/mcpfirewall/mcpfirewall/redact/secrets"
)

// found is what a detector found at text[start:end].
type found struct {
	start, end int
	*decision
}

// detectors are those that look for what is not known before.
type detectors struct {
	secrets *secrets.Detector
	pii     *pii.Detector                 // of the types that something happens to; nil if there are none
	allPII  func() (*pii.Detector, error) // of all types, for rules
	finds   sync.Pool                     // of *detectorFinds
}

// detectorFinds keeps the finds of the detectors between looks.
type detectorFinds struct {
	secrets []secrets.Find
	pii     []pii.Find
	spare   []found // for merge
}

// secretDetector is the one detector of secrets, passwordDetector the one that also
// finds passwords that people chose: their rules take time and memory to read.
var (
	secretDetector   = sync.OnceValues(func() (*secrets.Detector, error) { return secrets.New(secrets.Options{}) })
	passwordDetector = sync.OnceValues(func() (*secrets.Detector, error) { return secrets.New(secrets.Options{Passwords: true}) })
)

// open makes the detectors. types are those of personal data that are looked for in
// results; nil are none.
func (d *detectors) open(types []string, passwords bool) error {
	detector := secretDetector
	if passwords {
		detector = passwordDetector
	}
	var err error
	if d.secrets, err = detector(); err != nil {
		return err
	}
	if len(types) > 0 {
		if d.pii, err = pii.New(pii.Options{Types: types}); err != nil {
			return err
		}
	}
	d.allPII = sync.OnceValues(func() (*pii.Detector, error) { return pii.New(pii.Options{}) })
	d.finds.New = func() any { return new(detectorFinds) }
	return nil
}

// append appends what the wanted detectors find in s's text, sorted as inOrder says, to a list that
// is empty.
func (d *detectors) append(list []found, text []byte, s *scan) ([]found, error) {
	w, until := s.wants, s.until
	var err error
	kept := d.finds.Get().(*detectorFinds)
	defer d.finds.Put(kept)
	if w.secrets {
		kept.secrets, err = d.secrets.Append(kept.secrets[:0], text, until)
		if err != nil {
			return list, timeError(err, secrets.ErrTime)
		}
		for _, f := range kept.secrets {
			list = append(list, found{f.Start, f.End, s.decide(DetectSecret, f.Rule)})
		}
		kept.merge(list, 0)
	}
	if w.pii {
		look := d.pii
		if w.everything {
			if look, err = d.allPII(); err != nil {
				return list, err
			}
		}
		if look != nil {
			kept.pii, err = look.Append(kept.pii[:0], text, until)
			if err != nil {
				return list, timeError(err, pii.ErrTime)
			}
			before := len(list)
			for _, f := range kept.pii {
				list = append(list, found{f.Start, f.End, s.decide(DetectPII, f.Type)})
			}
			kept.merge(list, before)
		}
	}
	if w.custom {
		for i := range s.set.custom {
			c := &s.set.custom[i]
			before := len(list)
			if list, err = c.append(list, text, s.decide(DetectCustom, c.name), until); err != nil {
				return list, err
			}
			kept.merge(list, before)
		}
	}
	return list, nil
}

// inOrder reports whether a comes before b: by where they begin, the longer first. The hits that
// are made of them come in this order.
func inOrder(a, b *found) bool {
	switch {
	case a.start != b.start:
		return a.start < b.start
	case a.end != b.end:
		return a.end > b.end
	}
	return cmp.Or(cmp.Compare(a.detector, b.detector), cmp.Compare(a.rule, b.rule)) < 0
}

// merge sorts a list of which the first few are sorted, and the others come from one detector:
// these are by where they begin, so that next to nothing is left to be done among them.
func (k *detectorFinds) merge(list []found, sorted int) {
	for i := sorted + 1; i < len(list); i++ {
		for j := i; j > sorted && inOrder(&list[j], &list[j-1]); j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	if sorted == 0 || sorted == len(list) || !inOrder(&list[sorted], &list[sorted-1]) {
		return
	}
	k.spare = append(k.spare[:0], list[:sorted]...)
	left, right := k.spare, list[sorted:]
	for i := range list {
		switch {
		case len(left) == 0:
			return // the rest is where it belongs
		case len(right) > 0 && inOrder(&right[0], &left[0]):
			list[i], right = right[0], right[1:]
		default:
			list[i], left = left[0], left[1:]
		}
	}
}

func timeError(err, isTime error) error {
	if errors.Is(err, isTime) {
		return ErrTime
	}
	return err
}

// A long text is matched with custom patterns in parts, since package regexp
// cannot be stopped. A match of up to customOverlap bytes is seen in whole.
const (
	customPart    = 256 << 10
	customOverlap = 4 << 10
)

// append appends the matches of a pattern in text.
func (c *custom) append(list []found, text []byte, d *decision, until time.Time) ([]found, error) {
	for core := 0; core < len(text); core += customPart {
		if core > 0 && time.Now().After(until) {
			return list, ErrTime
		}
		from := max(0, core-customOverlap) // so that what stands before a match is seen
		to := min(len(text), core+customPart+customOverlap)
		list = appendMatches(list, c.re, d, text[from:to], from, core, core+customPart)
	}
	return list, nil
}

// appendMatches appends the matches in part, which begins at offset in the text, that
// end behind first and begin before limit.
func appendMatches(list []found, re *regexp.Regexp, d *decision, part []byte, offset, first, limit int) []found {
	for _, m := range re.FindAllIndex(part, -1) {
		start, end := offset+m[0], offset+m[1]
		if start < limit && end > first && start < end {
			list = append(list, found{start, end, d})
		}
	}
	return list
}
