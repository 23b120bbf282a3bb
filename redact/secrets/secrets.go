// Package secrets finds secrets in text by what they look like: by the rules of
// gitleaks, which its Go module brings along, and by rules of our own for what
// those lack.
//
//	d, err := secrets.New(secrets.Options{})
//	finds, err = d.Append(finds[:0], text, time.Now().Add(time.Second))
//
// A text is read as a program would write it, in plain or as a whole JSON
// document whose escapes are undone: `"api_key": "…"` is an assignment.
//
// gitleaks' rules hold with their keywords, entropy and allow-lists, save that
// nothing in a text can switch them off: not a comment with gitleaks:allow and
// not what looks like a file's name.
package secrets

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Find is a secret at text[Start:End].
type Find struct {
	Start, End int
	// Rule names the rule that found it: one of gitleaks', such as
	// "github-pat", or one of ours, such as "authorization-header".
	Rule string
}

// Options says what a detector does. The zero value is ready for use.
type Options struct {
	// Disable names rules that are left out.
	Disable []string
	// Passwords adds the rule PasswordRule: passwords that people chose, by the names and the mix of signs that
	// go with them, as in "password": "hunter2!". Whoever lists passwords on
	// purpose, such as a password manager, is then cut off from them.
	Passwords bool
}

// ErrTime is returned when a text was not read to its end in time. What it may
// hold beyond the finds is unknown.
var ErrTime = errors.New("text was not searched for secrets within its time")

// Detector finds secrets. It is safe for concurrent use.
type Detector struct {
	load  func() error
	ready atomic.Bool

	rules  []*rule
	global []*allow
	filter *filter
	scans  sync.Pool // of *scan
}

// New returns a detector. It is cheap: rules are read at first need or by Prepare.
func New(o Options) (*Detector, error) {
	d := &Detector{}
	o.Disable = slices.Clone(o.Disable)
	if !o.Passwords {
		o.Disable = append(o.Disable, PasswordRule)
	}
	d.load = sync.OnceValue(func() (err error) {
		d.rules, d.global, d.filter, err = load(o.Disable)
		d.scans.New = func() any { return &scan{rules: make([]progress, len(d.rules))} }
		d.ready.Store(true)
		return err
	})
	return d, nil
}

// Prepare reads the rules, some ten milliseconds of work, unless that was done. It
// may run beside Append, which waits for it.
func (d *Detector) Prepare() error { return d.load() }

// Ready reports whether the rules were read, so that Append waits for nothing.
func (d *Detector) Ready() bool { return d.ready.Load() }

// Append appends the secrets in text to finds, ascending by their start; they may
// overlap. It returns ErrTime if that was not done by until, if that is not zero.
// It allocates nothing for a text without secrets.
func (d *Detector) Append(finds []Find, text []byte, until time.Time) ([]Find, error) {
	if err := d.load(); err != nil {
		return finds, err
	}
	s := d.scans.Get().(*scan)
	defer d.scans.Put(s)
	s.reset(d, text, until)
	defer s.reset(d, nil, time.Time{}) // keep nothing of the text
	s.finds = finds
	err := s.run()
	finds, s.finds = s.finds, nil
	return finds, err
}
