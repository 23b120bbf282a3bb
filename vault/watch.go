package vault

import (
	"context"
	"fmt"
	"time"
)

const (
	// filePoll is how often files are looked at, unless Options.Poll is shorter.
	// Looking costs less than it would to be told: a notification has to follow
	// links such as those by which Kubernetes replaces mounted secrets, and does not
	// exist on network file systems.
	filePoll = 5 * time.Second

	// settle is how long a file must stay the same to count as written.
	settle = 100 * time.Millisecond
)

// looks is when Next looks at what others may change, and what it saw there last.
type looks struct {
	files, vault time.Time // of the wall clock; zero where there is nothing to look at
	seen         map[place]*reading
	blind        map[place]bool // where only the secret itself may be read
	failing      map[place]bool // where the last look failed
}

func (r *Resolver) newLooks(g *Grant) looks {
	l := looks{seen: map[place]*reading{}, blind: map[place]bool{}, failing: map[place]bool{}}
	for at, one := range g.readings {
		l.seen[at] = one
	}
	l.plan(r, SourceFile)
	l.plan(r, SourceVault)
	return l
}

// plan settles when to look next at what is from one source.
func (l *looks) plan(r *Resolver, source string) {
	var next time.Time
	now := time.Now().Round(0)
	for at, one := range l.seen {
		if at.source != source || one.changes != polled {
			continue
		}
		wait := r.options.Poll
		if source == SourceFile {
			wait = min(wait, filePoll)
		}
		// Many Grants made at the same time do not look at the same time.
		this := now.Add(jitter(wait))
		if one.next.After(now) && one.next.Before(this) {
			this = one.next.Round(0).Add(time.Second) // when it has surely happened
		}
		if next.IsZero() || this.Before(next) {
			next = this
		}
	}
	if source == SourceFile {
		l.files = next
	} else {
		l.vault = next
	}
}

// Next waits until a value has changed, such as by a new version in KV or a new
// content of a file, or a dynamic secret nears its end and has a successor, and
// returns a Grant for the same strings with what is valid now. What changed at about the
// same time changes at once. The old Grant stays valid until its Close, or the end of
// its leases; those that did not have to change are shared with the new one.
//
// While Vault does not give a successor the attempts are repeated, and the log says
// why; at the end of the secret, Next returns an error that is ErrExpired, once. Other
// errors are ErrClosed and that of ctx. Next is called by one goroutine at a time,
// and no more after it returned a Grant.
func (g *Grant) Next(ctx context.Context) (*Grant, error) {
	var again time.Duration // how long to wait after a failure; 0 if there was none
	for {
		if err := g.await(ctx, again); err != nil {
			return nil, err
		}
		next, err := g.successor(ctx)
		switch {
		case next != nil:
			return next, nil
		case err == nil:
			again = 0
			continue
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		left, _ := g.Ends()
		if left == 0 && !g.expired {
			g.expired = true
			return nil, fmt.Errorf("%w: %w", ErrExpired, err)
		}
		again = min(max(2*again, firstWait), mostWait)
		g.r.options.Log.Warn().Err(err).Dur("again_in", again).Dur("ends_in", left).Msg("no new secret for one that is about to end")
	}
}

// Ends returns for how long the values are still valid, and false if nothing speaks for
// their end: while a lease can be renewed it has none.
func (g *Grant) Ends() (left time.Duration, due bool) {
	for _, l := range g.leases() {
		if !l.isDue() {
			continue
		}
		if one := l.remaining(); !due || one < left {
			left = one
		}
		due = true
	}
	return left, due
}

// await returns when there is something to be done. After a failure that is when
// the time to try again has come, or the end of the secret.
func (g *Grant) await(ctx context.Context, again time.Duration) error {
	left, due := g.Ends()
	if due && !g.expired && left > 0 {
		again = min(again, left)
	}
	until := time.Now().Round(0).Add(again)
	for {
		wait := nap
		switch {
		case due:
			wait = time.Until(until)
		default:
			for _, look := range []time.Time{g.looks.files, g.looks.vault} {
				if !look.IsZero() {
					wait = min(wait, max(time.Until(look), time.Until(until)))
				}
			}
		}
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-g.closed:
			timer.Stop()
			return ErrClosed
		case <-g.r.ctx.Done():
			timer.Stop()
			return ErrClosed
		case <-g.wake:
			timer.Stop()
			return nil
		case now := <-timer.C:
			if wait < nap || due && !now.Round(0).Before(until) {
				return nil
			}
		}
	}
}

// successor looks at what is to be looked at, and returns a new Grant if a value
// has changed or a lease is due.
func (g *Grant) successor(ctx context.Context) (*Grant, error) {
	r := g.r
	limit := r.options.Timeout
	left, due := g.Ends()
	if due && !g.expired {
		limit = min(limit, max(left, time.Second))
	}
	ctx, done, err := r.begin(ctx, limit)
	if err != nil {
		return nil, err
	}
	defer done()

	now := time.Now().Round(0)
	passed := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	files, inVault := passed(g.looks.files), passed(g.looks.vault)
	changed := due
	if files || due {
		changed = g.look(ctx, SourceFile) || changed
	}
	if inVault || changed {
		changed = g.look(ctx, SourceVault) || changed
	}
	if changed && !files && !due {
		g.look(ctx, SourceFile)
	}
	if !changed {
		return nil, nil
	}
	have := map[place]*reading{}
	for at, one := range g.looks.seen {
		if one.lease == nil || !one.lease.isDue() {
			have[at] = one
		}
	}
	readings, err := r.readAll(ctx, g.request, have)
	if err != nil {
		return nil, err
	}
	return r.grant(g.request, readings), nil
}

// look reads again what is from one source and may have changed, and reports
// whether a value has. Where that fails, or what is there now is no good, the value
// of before stays in use and the log says so: a server goes on with what it has.
func (g *Grant) look(ctx context.Context, source string) (changed bool) {
	defer g.looks.plan(g.r, source)
	done := map[place]bool{}
	for _, w := range g.request.refs {
		old := g.looks.seen[w.place]
		if w.place.source != source || old.changes != polled || done[w.place] {
			continue
		}
		done[w.place] = true
		got, err := g.lookAt(ctx, w, old)
		if err != nil {
			if ctx.Err() != nil {
				return changed
			}
			if !g.looks.failing[w.place] {
				g.r.options.Log.Warn().Err(err).Str("reference", w.ref.Name()).Msg("not known whether a secret has changed; the one of before stays in use")
			}
			g.looks.failing[w.place] = true
			if isDown(err) {
				return changed
			}
			continue
		}
		if g.looks.failing[w.place] {
			g.r.options.Log.Info().Str("reference", w.ref.Name()).Msg("a secret can be looked at again")
			delete(g.looks.failing, w.place)
		}
		for _, other := range g.request.refs {
			if other.place == w.place {
				before, _ := old.value(other)
				after, _ := got.value(other)
				changed = changed || before != after
			}
		}
		g.looks.seen[w.place] = got
	}
	return changed
}

// lookAt returns what a place holds now.
func (g *Grant) lookAt(ctx context.Context, w want, old *reading) (*reading, error) {
	if w.place.source == SourceVault && old.mount.version == 2 && !g.looks.blind[w.place] {
		version, known, err := g.r.latest(ctx, old.mount, w.place.path)
		if err != nil || known && version == old.version {
			return old, err
		}
		g.looks.blind[w.place] = !known
	}
	got, err := g.r.read(ctx, w)
	if err != nil {
		return nil, err
	}
	if w.place.source == SourceFile && got.text != old.text {
		if got, err = g.settled(ctx, w, got); err != nil {
			return nil, err
		}
	}
	for _, other := range g.request.refs {
		if other.place == w.place {
			if _, err := got.value(other); err != nil {
				return nil, err
			}
		}
	}
	return got, nil
}

// settled reads a file until it stays the same: one that is written in place can be
// met half written.
func (g *Grant) settled(ctx context.Context, w want, got *reading) (*reading, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(settle):
		}
		again, err := g.r.read(ctx, w)
		if err != nil || again.text == got.text {
			return again, err
		}
		got = again
	}
}
