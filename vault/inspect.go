package vault

import (
	"context"
	"strings"
	"time"
)

// Status is what is known of a reference, without its value.
type Status struct {
	Ref *Ref
	// Err says why the reference does not resolve. Nothing but Ref is set then.
	Err error
	// Engine is the kind of engine that a path in Vault belongs to, such as
	// database or "kv version 2".
	Engine string
	// Version is the version of the secret, in KV version 2.
	Version int
	// Written is when that version was stored, or the file was changed; zero where
	// nobody knows.
	Written time.Time
	// Lasts is how long a dynamic secret lasts from when it is fetched; 0 for one
	// that does not end by itself.
	Lasts time.Duration
	// Renewable says that Vault offers to prolong its lease.
	Renewable bool
	// Watched says that a later value would be noticed.
	Watched bool
	// Bytes is the length of the value, without white space around it.
	Bytes int
}

// Inspect resolves references one by one, each with the time limit of Options, and
// says what came of it. The leases that this takes are given up again; Close waits
// for that.
func (r *Resolver) Inspect(ctx context.Context, refs []*Ref, v Vars) []Status {
	var all []Status
	read := map[place]*reading{}
	bad := map[place]error{}
	var down error
	for _, ref := range refs {
		s := Status{Ref: ref}
		w, err := newWant(ref, v)
		if err == nil && read[w.place] == nil && bad[w.place] == nil {
			if bad[w.place] = down; down == nil || ref.Source != SourceVault {
				read[w.place], bad[w.place] = r.inspect(ctx, w)
			}
			if isDown(bad[w.place]) {
				down = bad[w.place]
			}
		}
		if err == nil {
			err = bad[w.place]
		}
		if err == nil {
			var value string
			value, err = read[w.place].value(w)
			s.Bytes = len(strings.TrimSpace(value))
		}
		if err != nil {
			all = append(all, Status{Ref: ref, Err: err})
			continue
		}
		got := read[w.place]
		s.Version, s.Written, s.Watched = got.version, got.written, got.changes != never
		if ref.Source == SourceVault {
			s.Engine = got.mount.String()
		}
		if got.lease != nil {
			got.lease.mu.Lock()
			s.Lasts, s.Renewable = got.lease.ttl, got.lease.renewable
			got.lease.mu.Unlock()
		}
		all = append(all, s)
	}
	giveBack(read)
	return all
}

func (r *Resolver) inspect(ctx context.Context, w want) (*reading, error) {
	ctx, done, err := r.begin(ctx, r.options.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()
	got, err := r.read(ctx, w)
	if err != nil {
		return nil, err
	}
	return got, nil
}
