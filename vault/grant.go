package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Grant is what strings with references stand for, as long as it lasts. Nothing
// that it shows changes.
type Grant struct {
	Values  []string // in the order of the strings
	Secrets []Secret // each reference once, then what the login to Vault was made with

	r        *Resolver
	request  *request
	readings map[place]*reading
	closed   chan struct{}
	close    sync.Once
	wake     chan struct{} // gets a value when a lease wants a successor

	// Of Next, which one goroutine at a time calls.
	looks   looks
	expired bool // and Next has said so
}

// ErrExpired is the error of Next when a secret has ended and no new one could be
// had: the values are not valid any more. The next call of Next waits until there
// are new ones.
var ErrExpired = errors.New("a secret has ended and there is no new one yet")

// ErrClosed is the error of a Grant or Resolver that was closed.
var ErrClosed = errors.New("it was closed")

// request is what a Grant was asked for.
type request struct {
	in   [][]Part
	refs []want // each reference once
}

// want is a reference that was asked for.
type want struct {
	ref    *Ref
	place  place
	params map[string][]string
}

// place is where a value is read. References with the same place share a reading.
type place struct {
	source string
	path   string // with the placeholders filled in
	params string // of a path in Vault, in a form that does not depend on their order
}

// Acquire resolves strings that belong together, such as everything that one
// server is started with. Each path of Vault and each file is read once, so that
// fields which change together are of the same version, and a dynamic secret has
// one lease for all its fields. The error joins those of all references that
// failed; then nothing was acquired.
func (r *Resolver) Acquire(ctx context.Context, in []string, v Vars) (*Grant, error) {
	q, wrong := newRequest(in, v)
	ctx, done, err := r.begin(ctx, r.options.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()
	readings, err := r.readAll(ctx, q, nil)
	if err != nil || wrong != nil {
		giveBack(readings)
		return nil, errors.Join(wrong, err)
	}
	return r.grant(q, readings), nil
}

// begin marks the start of something that Close waits for, and ends.
func (r *Resolver) begin(ctx context.Context, limit time.Duration) (context.Context, func(), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil, fmt.Errorf("resolving references: %w", ErrClosed)
	}
	r.tasks.Add(1)
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(r.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		r.tasks.Done()
	}, nil
}

func newRequest(in []string, v Vars) (*request, error) {
	q := &request{}
	seen := map[string]bool{}
	var failed []error
	for _, s := range in {
		parts, err := Parse(s)
		if err != nil {
			failed = append(failed, err)
		}
		q.in = append(q.in, parts)
		for _, part := range parts {
			if part.Ref == nil || seen[part.Ref.Text] {
				continue
			}
			seen[part.Ref.Text] = true
			w, err := newWant(part.Ref, v)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", part.Ref.Text, err))
				continue
			}
			q.refs = append(q.refs, w)
		}
	}
	return q, errors.Join(failed...)
}

func newWant(ref *Ref, v Vars) (want, error) {
	path, params, err := v.fill(ref)
	if err != nil {
		return want{}, err
	}
	w := want{ref: ref, place: place{source: ref.Source, path: path}, params: params}
	if params != nil {
		body, err := writeBody(params)
		if err != nil {
			return want{}, errors.New("its parameters are not text")
		}
		w.place.params = string(body)
	}
	return w, nil
}

// readAll reads every place of a request that have does not hold. When it fails,
// it gives back what it read.
func (r *Resolver) readAll(ctx context.Context, q *request, have map[place]*reading) (map[place]*reading, error) {
	got := map[place]*reading{}
	bad := map[place]error{}
	var failed []error
	var down error // why Vault as a whole cannot be used; asked no more
	for _, w := range q.refs {
		if _, again := got[w.place]; again || bad[w.place] != nil {
			continue
		}
		if old := have[w.place]; old != nil {
			got[w.place] = old
			continue
		}
		var one *reading
		err := down
		if w.place.source != SourceVault || down == nil {
			one, err = r.read(ctx, w)
		}
		if err != nil {
			bad[w.place] = err
			if isDown(err) {
				down = err
			}
			continue
		}
		got[w.place] = one
	}
	for _, w := range q.refs {
		err := bad[w.place]
		if err == nil {
			_, err = got[w.place].value(w)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", w.ref.Text, err))
		}
	}
	if len(failed) > 0 {
		maps.DeleteFunc(got, func(at place, one *reading) bool { return have[at] == one })
		giveBack(got)
		return nil, errors.Join(failed...)
	}
	return got, nil
}

// giveBack revokes the leases of readings that no Grant was made of.
func giveBack(readings map[place]*reading) {
	for _, one := range readings {
		if one != nil && one.lease != nil {
			one.lease.drop(nil)
		}
	}
}

// read reads one place.
func (r *Resolver) read(ctx context.Context, w want) (*reading, error) {
	switch w.place.source {
	case SourceVault:
		return r.readVault(ctx, w.place.path, w.params)
	case SourceFile:
		text, written, err := r.file(w.place.path)
		return &reading{text: text, written: written, changes: polled}, err
	case SourceKeyring:
		text, err := r.fromKeyring(ctx, w.place.path)
		return &reading{text: text}, err
	default:
		text, err := r.env(w.place.path)
		return &reading{text: text}, err
	}
}

// value returns what a reference to the place of the reading stands for.
func (got *reading) value(w want) (value string, err error) {
	value = got.text
	if w.place.source == SourceVault {
		if value, err = got.field(w.place.path, w.ref.Field); err != nil {
			return "", err
		}
	}
	switch {
	case value == "":
		return "", errors.New("the value is empty, and an empty credential is never sent; store one, or remove the reference")
	case !utf8.ValidString(value) || strings.Contains(value, "\x00"):
		return "", errors.New("the value is not text: it is not UTF-8 or holds a NUL byte; store it encoded, such as in base64")
	}
	return value, nil
}

// grant makes a Grant of readings, all of whose values are known to be good.
func (r *Resolver) grant(q *request, readings map[place]*reading) *Grant {
	g := &Grant{r: r, request: q, readings: readings, closed: make(chan struct{}), wake: make(chan struct{}, 1)}
	values := map[string]string{}
	fromVault := false
	for _, w := range q.refs {
		value, _ := readings[w.place].value(w)
		values[w.ref.Text] = value
		g.Secrets = append(g.Secrets, Secret{Name: w.ref.Name(), Value: value})
		fromVault = fromVault || w.place.source == SourceVault
	}
	for _, parts := range q.in {
		var out strings.Builder
		for _, part := range parts {
			if part.Ref != nil {
				out.WriteString(values[part.Ref.Text])
			} else {
				out.WriteString(part.Text)
			}
		}
		g.Values = append(g.Values, out.String())
	}
	if fromVault {
		g.Secrets = append(g.Secrets, r.loginSecrets()...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range readings {
		if one.lease != nil {
			one.lease.holders[g] = struct{}{}
			if one.lease.isDue() {
				g.wakeUp()
			}
		}
	}
	g.looks = r.newLooks(g)
	return g
}

// wakeUp tells Next that a lease wants a successor.
func (g *Grant) wakeUp() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Static reports whether nothing in the Grant can ever change, so that Next would
// wait for ever.
func (g *Grant) Static() bool {
	for _, one := range g.readings {
		if one.changes != never {
			return false
		}
	}
	return true
}

// Close gives the Grant up: leases that no other Grant shares are revoked, in the
// background, and Next returns ErrClosed.
func (g *Grant) Close() {
	g.close.Do(func() {
		close(g.closed)
		for _, l := range g.leases() {
			l.drop(g)
		}
	})
}

// abandon gives the Grant up and leaves its leases to their end.
func (g *Grant) abandon() {
	g.close.Do(func() {
		close(g.closed)
		for _, l := range g.leases() {
			l.stop()
		}
	})
}

// leases returns the leases that the Grant holds.
func (g *Grant) leases() []*lease {
	var all []*lease
	for _, one := range g.readings {
		if one.lease != nil && !slices.Contains(all, one.lease) {
			all = append(all, one.lease)
		}
	}
	return all
}
