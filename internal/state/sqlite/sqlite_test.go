package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

const one = state.Unit

var (
	ctx   = context.Background()
	start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

func newStore(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "state")
	}
	s := New(o)
	t.Cleanup(func() { s.Close() })
	return s
}

func daily(amount, max int64) state.Charge {
	return state.Charge{Limit: "refunds a day", Key: "alice", Amount: amount, Max: max, Window: state.Window{Sliding: 24 * time.Hour}}
}

func reserve(t testing.TB, s *Store, now time.Time, id string, charges ...state.Charge) state.Verdict {
	t.Helper()
	v, err := s.Reserve(ctx, now, id, charges)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func granted(t testing.TB, s *Store, now time.Time, id string, charges ...state.Charge) {
	t.Helper()
	if v := reserve(t, s, now, id, charges...); len(v.Exceeded) > 0 {
		t.Fatalf("%s at %s: refused: %+v", id, now, v)
	}
}

func refused(t testing.TB, s *Store, now time.Time, id string, charges ...state.Charge) state.Excess {
	t.Helper()
	v := reserve(t, s, now, id, charges...)
	if len(v.Exceeded) == 0 {
		t.Fatalf("%s at %s: granted", id, now)
	}
	return v.Exceeded[0]
}

func left(t testing.TB, s *Store, now time.Time, c state.Charge) int64 {
	t.Helper()
	rooms, err := s.Peek(ctx, now, []state.Charge{c})
	if err != nil {
		t.Fatal(err)
	}
	return rooms[0].Left
}

func TestSliding(t *testing.T) {
	s := newStore(t, Options{})
	granted(t, s, start, "1", daily(100*one, 200*one))
	granted(t, s, start.Add(time.Hour), "2", daily(70*one, 200*one))

	e := refused(t, s, start.Add(2*time.Hour), "3", daily(50*one, 200*one))
	if want := (state.Room{Left: 30 * one, Resets: start.Add(24 * time.Hour)}); e.Left != want.Left || !e.Resets.Equal(want.Resets) || e.Fits {
		t.Errorf("the room is %+v, want %+v", e.Room, want)
	}
	// 200 fit only once both are gone.
	if e := refused(t, s, start.Add(2*time.Hour), "3", daily(200*one, 200*one)); !e.Resets.Equal(start.Add(25 * time.Hour)) {
		t.Errorf("resets at %s", e.Resets)
	}
	if e := refused(t, s, start.Add(2*time.Hour), "3", daily(201*one, 200*one)); !e.Resets.IsZero() {
		t.Errorf("what never fits resets at %s", e.Resets)
	}
	// To the microsecond.
	refused(t, s, start.Add(24*time.Hour-time.Microsecond), "3", daily(50*one, 200*one))
	granted(t, s, start.Add(24*time.Hour), "3", daily(50*one, 200*one))
	if got := left(t, s, start.Add(24*time.Hour), daily(0, 200*one)); got != 80*one {
		t.Errorf("left %d", got)
	}
}

func TestPeriod(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, Options{})
	charge := daily(60, 100)
	charge.Window = state.Window{Period: "day", Zone: zone}
	// 25 October 2026 has 25 hours.
	granted(t, s, time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), "1", charge)
	e := refused(t, s, time.Date(2026, 10, 25, 22, 59, 59, 0, time.UTC), "2", charge)
	if want := time.Date(2026, 10, 25, 23, 0, 0, 0, time.UTC); !e.Resets.Equal(want) || e.Left != 40 {
		t.Errorf("%+v, want a reset at %s", e, want)
	}
	granted(t, s, time.Date(2026, 10, 25, 23, 0, 0, 0, time.UTC), "2", charge)
}

func TestAllOrNothing(t *testing.T) {
	s := newStore(t, Options{})
	a, b := daily(one, 5*one), daily(one, one)
	b.Limit = "other"
	granted(t, s, start, "1", a, b)
	v := reserve(t, s, start, "2", a, b)
	if len(v.Exceeded) != 1 || v.Exceeded[0].Charge != 1 {
		t.Fatalf("%+v", v)
	}
	if got := left(t, s, start, a); got != 4*one {
		t.Errorf("a refused call took a unit: %d left", got)
	}
	// A person approved it: it counts all the same.
	b.Over = true
	granted(t, s, start, "2", a, b)
	b.Over, b.Max = false, 3*one
	if got := left(t, s, start, b); got != one {
		t.Errorf("%d left", got)
	}
}

func TestKeysApart(t *testing.T) {
	s := newStore(t, Options{})
	base := state.Charge{Limit: "ab", Key: "c", Amount: one, Max: one, Window: state.Window{Sliding: time.Hour}}
	granted(t, s, start, "0", base)
	refused(t, s, start, "x", base)
	for i, change := range []func(*state.Charge){
		func(c *state.Charge) { c.Limit, c.Key = "a", "bc" },
		func(c *state.Charge) { c.Key = "C" },
		func(c *state.Charge) { c.Window = state.Window{Period: "hour"} },
		func(c *state.Charge) { c.Window = state.Window{Sliding: 2 * time.Hour} },
	} {
		c := base
		change(&c)
		granted(t, s, start, fmt.Sprint("k", i), c)
	}
}

func TestIdempotent(t *testing.T) {
	s := newStore(t, Options{})
	c := daily(60*one, 100*one)
	for range 3 {
		granted(t, s, start, "chain", c)
	}
	if got := left(t, s, start, c); got != 40*one {
		t.Fatalf("%d left", got)
	}
	// A limit that came with a changed policy is charged; the other is not again.
	other := c
	other.Limit = "new"
	granted(t, s, start, "chain", c, other)
	if got := left(t, s, start, other); got != 40*one {
		t.Fatalf("%d left", got)
	}
	// More is charged by what is more.
	more := c
	more.Amount = 90 * one
	granted(t, s, start, "chain", more)
	if got := left(t, s, start, c); got != 10*one {
		t.Fatalf("%d left", got)
	}
	// Covered even when the limit is used up.
	granted(t, s, start, "b", daily(10*one, 100*one))
	granted(t, s, start, "chain", more)

	for range 3 { // gives back once
		if err := s.Release(ctx, "chain"); err != nil {
			t.Fatal(err)
		}
	}
	if got := left(t, s, start, c); got != 90*one {
		t.Fatalf("%d left after the release", got)
	}
	if err := s.Release(ctx, "unknown"); err != nil {
		t.Fatal(err)
	}
}

// What has left its window takes nothing from others when it is released.
func TestLateRelease(t *testing.T) {
	s := newStore(t, Options{})
	c := daily(10*one, 100*one)
	c.Window.Sliding = time.Minute
	granted(t, s, start, "1", c)
	granted(t, s, start.Add(2*time.Minute), "2", c)
	if err := s.Release(ctx, "1"); err != nil {
		t.Fatal(err)
	}
	if got := left(t, s, start.Add(2*time.Minute), c); got != 90*one {
		t.Fatalf("%d left", got)
	}
}

func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a?b#c%20d") // what a file: URI could misread
	s := newStore(t, Options{Dir: dir})
	granted(t, s, start, "1", daily(150*one, 200*one))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reserve(ctx, start, "2", []state.Charge{daily(one, 200*one)}); err == nil {
		t.Error("a closed store counts")
	}
	s = newStore(t, Options{Dir: dir})
	refused(t, s, start, "2", daily(51*one, 200*one))
	granted(t, s, start, "1", daily(150*one, 200*one)) // still known by its id
	if err := s.Release(ctx, "1"); err != nil {
		t.Fatal(err)
	}
	granted(t, s, start, "2", daily(200*one, 200*one))
}

func TestLarge(t *testing.T) {
	s := newStore(t, Options{})
	c := daily(state.MaxAmount, state.MaxAmount)
	granted(t, s, start, "1", c)
	refused(t, s, start, "2", daily(1, state.MaxAmount))
	c.Over, c.Amount = true, 1
	refused(t, s, start, "3", c) // a sum that cannot be held is never passed
}

func TestClockSetBack(t *testing.T) {
	t.Run("sliding", func(t *testing.T) {
		s := newStore(t, Options{})
		for i := range 10 {
			granted(t, s, start.Add(time.Duration(i)*time.Hour), fmt.Sprint(i), daily(one, 10*one))
		}
		// Nothing is forgotten, and it all ends a window after the clock's new time.
		back := start.Add(-48 * time.Hour)
		refused(t, s, back, "a", daily(one, 10*one))
		refused(t, s, back.Add(23*time.Hour), "a", daily(one, 10*one))
		granted(t, s, back.Add(25*time.Hour), "a", daily(10*one, 10*one))
	})
	t.Run("day", func(t *testing.T) {
		s := newStore(t, Options{})
		c := daily(one, 2*one)
		c.Window = state.Window{Period: "day"}
		midnight := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
		granted(t, s, midnight.Add(-time.Minute), "1", c)
		granted(t, s, midnight.Add(-time.Minute), "2", c)
		granted(t, s, midnight.Add(time.Minute), "3", c)
		// Back over midnight: the new day goes on, the old one's room is not opened again.
		granted(t, s, midnight.Add(-time.Hour), "4", c)
		refused(t, s, midnight.Add(-time.Hour), "5", c)
		refused(t, s, midnight.Add(time.Hour), "5", c)
		// Far back: used is used.
		refused(t, s, midnight.Add(-72*time.Hour), "5", c)
		granted(t, s, midnight.Add(-48*time.Hour), "5", c)
	})
}

// A model that keeps every event counts the same as the store.
func TestAgainstModel(t *testing.T) {
	type event struct {
		at     time.Time
		key    int
		amount int64
		id     string
	}
	for seed := range uint64(2) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := newStore(t, Options{})
		var events []event
		now, window, max := start, time.Hour, int64(50*one)
		for step := range 250 {
			now = now.Add(time.Duration(r.Int64N(int64(4 * time.Minute))).Truncate(time.Microsecond))
			key, amount := r.IntN(3), r.Int64N(20*one)+1
			if r.IntN(8) == 0 && len(events) > 0 {
				i := len(events) - 1 - r.IntN(min(len(events), 5))
				if err := s.Release(ctx, events[i].id); err != nil {
					t.Fatal(err)
				}
				events = append(events[:i], events[i+1:]...)
			}
			used := int64(0)
			for _, e := range events {
				if e.key == key && e.at.After(now.Add(-window)) {
					used += e.amount
				}
			}
			id := fmt.Sprint(step)
			v := reserve(t, s, now, id, state.Charge{Limit: "l", Key: fmt.Sprint(key), Amount: amount, Max: max, Window: state.Window{Sliding: window}})
			if fits := used+amount <= max; fits != (len(v.Exceeded) == 0) {
				t.Fatalf("seed %d step %d: the model says %v, the store %+v", seed, step, fits, v)
			} else if fits {
				events = append(events, event{now, key, amount, id})
			} else if v.Exceeded[0].Left != max-used {
				t.Fatalf("seed %d step %d: %d left, not %d", seed, step, v.Exceeded[0].Left, max-used)
			} else {
				// At the time it names, and not before, the amount fits.
				at := v.Exceeded[0].Resets
				c := state.Charge{Limit: "l", Key: fmt.Sprint(key), Amount: amount, Max: max, Window: state.Window{Sliding: window}}
				for when, want := range map[time.Time]bool{at: true, at.Add(-time.Microsecond): false} {
					if rooms, err := s.Peek(ctx, when, []state.Charge{c}); err != nil || rooms[0].Fits != want {
						t.Fatalf("seed %d step %d: at %s: %+v, %v", seed, step, when, rooms, err)
					}
				}
			}
		}
	}
}

// Many events in one window are rounded: the sum stays, the rows are bounded,
// and nothing leaves its window before its time.
func TestBounded(t *testing.T) {
	s := newStore(t, Options{maxEvents: 100})
	c := daily(1, 10_000)
	window := c.Window.Sliding
	step := window / 1000
	for i := range 600 {
		granted(t, s, start.Add(time.Duration(i)*step), fmt.Sprint(i), c)
	}
	now := start.Add(600 * step)
	if got := left(t, s, now, c); got != 9400 {
		t.Errorf("%d left, want 9400", got)
	}
	var rows int
	if err := s.db.conn.QueryRowContext(ctx, "SELECT count(*) FROM used").Scan(&rows); err != nil || rows > 101 {
		t.Errorf("%d rows, %v", rows, err)
	}
	// The first 200 have left by then; each may stay for a 25th of the window longer.
	if got := left(t, s, start.Add(window+199*step), c); got > 9600 || got < 9600-41 {
		t.Errorf("%d left, want from 9559 to 9600", got)
	}
	if err := s.Release(ctx, "599"); err != nil {
		t.Fatal(err)
	}
	if got := left(t, s, now, c); got != 9401 {
		t.Errorf("%d left after a release", got)
	}
	// One that was rounded stays.
	if err := s.Release(ctx, "1"); err != nil {
		t.Fatal(err)
	}
	if got := left(t, s, now, c); got != 9401 {
		t.Errorf("%d left after the release of a rounded one", got)
	}
	if got := left(t, s, start.Add(3*window), c); got != 10_000 {
		t.Errorf("%d left after all", got)
	}
}

// What is past is swept away.
func TestSweep(t *testing.T) {
	s := newStore(t, Options{})
	for i := range 200 {
		c := daily(1, 10)
		c.Key, c.Window.Sliding = fmt.Sprint(i), time.Minute
		granted(t, s, start, fmt.Sprint(i), c)
	}
	for i := range 5 * sweepEvery {
		granted(t, s, start.Add(3*time.Hour), fmt.Sprint("x", i), daily(1, 1<<40))
	}
	var counters, used, held int
	for text, into := range map[string]*int{"counters": &counters, "used": &used, "held": &held} {
		if err := s.db.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+text).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	if counters != 1 || used != 1 || held != 5*sweepEvery {
		t.Errorf("%d counters, %d rows of used, %d reservations are kept", counters, used, held)
	}
}

// Nothing of what a limit counts by is in the file.
func TestNothingInClear(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, Options{Dir: filepath.Join(dir, "s")})
	c := daily(one, 10*one)
	c.Key, c.Limit = "alice@example.com", "refunds to customers"
	granted(t, s, start, "reservation-id", c)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "s"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "s", FileName))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{c.Key, c.Limit, "reservation-id"} {
		if bytes.Contains(data, []byte(text)) {
			t.Errorf("the file holds %q", text)
		}
	}
}

// A volatile store counts like any other, and leaves nothing.
func TestVolatile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	a, b := newStore(t, Options{Volatile: true}), newStore(t, Options{Volatile: true})
	granted(t, a, start, "1", daily(60*one, 100*one))
	refused(t, a, start, "2", daily(60*one, 100*one))
	granted(t, b, start, "2", daily(60*one, 100*one))
	if err := a.Release(ctx, "1"); err != nil {
		t.Fatal(err)
	}
	granted(t, a, start, "2", daily(60*one, 100*one))
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
