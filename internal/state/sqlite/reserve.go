package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// Reserve implements [state.Store].
func (s *Store) Reserve(ctx context.Context, now time.Time, id string, charges []state.Charge) (state.Verdict, error) {
	if err := state.CheckID(id); err != nil {
		return state.Verdict{}, err
	}
	if err := state.Check(charges); err != nil || len(charges) == 0 {
		return state.Verdict{}, err
	}
	durable := slices.ContainsFunc(charges, func(c state.Charge) bool { return c.Durable })
	var verdict state.Verdict
	err := s.transaction(ctx, durable, func(db *database) (keep bool, err error) {
		verdict = state.Verdict{}
		name := db.hash('r', id)
		held, err := db.held(name)
		if err != nil {
			return false, err
		}
		counters := make([]*counter, len(charges))
		for i := range charges {
			c, err := db.counterOf(now, &charges[i])
			if err != nil {
				return false, err
			}
			counters[i] = c
			keep = keep || c.changed // so that nobody has to do it again
			covered, known := held.covers(c.id)
			if c.take = max(c.take-covered, 0); known && c.take == 0 {
				continue
			}
			room, err := db.room(c)
			if err != nil {
				return false, err
			}
			// Over passes the maximum, but not what can be added up.
			if !room.Fits && !(c.charge.Over && c.take <= state.MaxAmount-c.total) {
				verdict.Exceeded = append(verdict.Exceeded, state.Excess{Charge: i, Room: room})
			}
		}
		if len(verdict.Exceeded) > 0 {
			return keep, nil
		}
		for _, c := range counters {
			if err := db.take(c, s.o.maxEvents); err != nil {
				return false, err
			}
			if _, known := held.covers(c.id); !known || c.take > 0 {
				held = append(held, taken{c.id, c.span.Stamp, c.take})
			}
		}
		if err := db.exec(db.heldPut, name[:], now.UnixMicro(), held.encode()); err != nil {
			return false, err
		}
		if s.count++; s.count%sweepEvery == 0 {
			return true, db.sweep(now)
		}
		return true, nil
	})
	return verdict, err
}

// Release implements [state.Store].
func (s *Store) Release(ctx context.Context, id string) error {
	if err := state.CheckID(id); err != nil {
		return err
	}
	return s.transaction(ctx, false, func(db *database) (bool, error) {
		name := db.hash('r', id)
		held, err := db.held(name)
		if err != nil || held == nil {
			return false, err
		}
		for _, t := range held {
			if err := db.giveBack(t); err != nil {
				return false, err
			}
		}
		return true, db.exec(db.heldDrop, name[:])
	})
}

// Peek implements [state.Store].
func (s *Store) Peek(ctx context.Context, now time.Time, charges []state.Charge) ([]state.Room, error) {
	if err := state.Check(charges); err != nil {
		return nil, err
	}
	rooms := make([]state.Room, len(charges))
	err := s.transaction(ctx, false, func(db *database) (bool, error) {
		for i := range charges {
			c, err := db.counterOf(now, &charges[i])
			if err != nil {
				return false, err
			}
			if rooms[i], err = db.room(c); err != nil {
				return false, err
			}
		}
		return false, nil
	})
	return rooms, err
}

// A counter is a row of counters, and what a charge wants of it.
type counter struct {
	id      id
	charge  *state.Charge
	span    state.Span
	take    int64 // of the charge's amount, what the reservation does not cover
	changed bool  // rows were removed or moved

	total, events           int64
	oldest, newest, expires int64
}

// none is the oldest time of a counter without units.
const none = math.MaxInt64

var errNonsense = errors.New("it holds numbers that cannot be; restore it, or move it away, with what lies beside it, to count from zero")

// counterOf reads a counter and removes what has left its window.
func (db *database) counterOf(now time.Time, charge *state.Charge) (*counter, error) {
	c := &counter{id: db.counter(charge), charge: charge, span: charge.Window.Span(now), take: charge.Amount, oldest: none}
	err := db.counterGet.QueryRowContext(context.Background(), c.id[:]).Scan(&c.total, &c.events, &c.oldest, &c.newest, &c.expires)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	if c.newest > c.span.Stamp {
		if err := db.catchUp(c); err != nil {
			return nil, err
		}
	}
	if c.oldest <= c.span.After {
		if err := db.prune(c); err != nil {
			return nil, err
		}
	}
	if c.total < 0 || c.total > state.MaxAmount {
		return nil, errNonsense
	}
	return c, nil
}

// catchUp deals with units of the future. Those that are a little ahead are of
// another process, which read the clock later and had its turn earlier; or the
// clock was set back a little over the start of a period. Units are
// stamped in the order of the turns, then. Those that are far ahead mean that
// the clock was set back, and are dated to the present.
func (db *database) catchUp(c *counter) error {
	sliding := c.charge.Window.Period == ""
	ahead := c.span.Until
	if sliding {
		ahead = c.span.Stamp + skew.Microseconds()
	}
	if c.newest <= ahead {
		if sliding {
			c.span.Stamp = c.newest
		} else {
			c.span = c.charge.Window.Span(time.UnixMicro(c.newest))
		}
		return nil
	}
	to := c.span.Stamp
	if sliding {
		to = ahead // not sooner than they can have been, by the clock as it is now
	}
	if err := db.exec(db.usedMove, c.id[:], to); err != nil {
		return err
	}
	if err := db.exec(db.usedLate, c.id[:], to); err != nil {
		return err
	}
	c.span.Stamp = to
	if err := db.recount(c); err != nil {
		return err
	}
	return db.put(c)
}

// recount reads again what is known of a counter's rows.
func (db *database) recount(c *counter) error {
	c.changed = true
	err := db.usedSum.QueryRowContext(context.Background(), c.id[:]).Scan(&c.total, &c.events, &c.oldest, &c.newest)
	if c.events == 0 {
		c.oldest = none
	}
	return err
}

func (db *database) prune(c *counter) error {
	rows, err := db.usedPrune.QueryContext(context.Background(), c.id[:], c.span.After)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var amount int64
		if err := rows.Scan(&amount); err != nil {
			return err
		}
		c.total -= amount
		c.events--
		c.changed = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := rows.Close(); err != nil {
		return err
	}
	if err := db.usedMin.QueryRowContext(context.Background(), c.id[:]).Scan(&c.oldest); err != nil {
		return err
	}
	if c.oldest == 0 {
		c.oldest, c.events = none, 0
		if c.total != 0 {
			return errNonsense
		}
	}
	if c.changed {
		return db.put(c)
	}
	return nil
}

// room is what a counter has left.
func (db *database) room(c *counter) (state.Room, error) {
	left := max(c.charge.Max-c.total, 0)
	room := state.Room{Left: left, Fits: c.take <= c.charge.Max-c.total}
	if c.take > c.charge.Max {
		return room, nil
	}
	if c.charge.Window.Period != "" {
		room.Resets = time.UnixMicro(c.span.Until)
		return room, nil
	}
	if room.Fits {
		return room, nil
	}
	rows, err := db.usedWalk.QueryContext(context.Background(), c.id[:])
	if err != nil {
		return room, err
	}
	defer rows.Close()
	// What goes first, until the rest leaves enough.
	for rest := c.total; rows.Next(); {
		var at, amount int64
		if err := rows.Scan(&at, &amount); err != nil {
			return room, err
		}
		if rest -= amount; c.take <= c.charge.Max-rest {
			room.Resets = time.UnixMicro(at + c.charge.Window.Sliding.Microseconds())
			break
		}
	}
	return room, errors.Join(rows.Err(), rows.Close())
}

// take counts what is wanted of a counter.
func (db *database) take(c *counter, maxEvents int) error {
	if c.take == 0 {
		return nil
	}
	if err := db.exec(db.usedAdd, c.id[:], c.span.Stamp, c.take); err != nil {
		return err
	}
	c.total += c.take
	if c.span.Stamp > c.newest || c.events == 0 {
		c.events++ // or else it went into a row that there was
	}
	c.oldest, c.newest = min(c.oldest, c.span.Stamp), max(c.newest, c.span.Stamp)
	// The index over expires is written anew only a few times in a window.
	grain := (c.span.Until - c.span.Stamp) / 4
	c.expires = max(c.expires, (c.span.Until/grain+1)*grain)
	if c.charge.Window.Period == "" && c.events > int64(maxEvents) {
		if err := db.round(c, maxEvents); err != nil {
			return err
		}
	}
	return db.put(c)
}

// round bounds the rows of a counter. All but those of the last quantum are
// rounded up, which lets no unit leave its window too soon.
func (db *database) round(c *counter, maxEvents int) error {
	quantum := max(c.charge.Window.Sliding.Microseconds()/int64(maxEvents/4), 1)
	before := c.span.Stamp - c.span.Stamp%quantum
	if err := db.exec(db.usedRound, c.id[:], quantum, before); err != nil {
		return err
	}
	if err := db.exec(db.usedUneven, c.id[:], quantum, before); err != nil {
		return err
	}
	return db.recount(c)
}

func (db *database) put(c *counter) error {
	return db.exec(db.counterPut, c.id[:], c.total, c.events, c.oldest, c.newest, c.expires)
}

// giveBack undoes one taking, if its row is still there. Where it is not, the
// unit has left its window, or was rounded and stays until it does.
func (db *database) giveBack(t taken) error {
	if t.amount == 0 {
		return nil
	}
	n, err := db.changed(db.usedTake, t.counter[:], t.at, t.amount)
	if err != nil || n == 0 {
		return err
	}
	if n, err = db.changed(db.usedEmpty, t.counter[:], t.at); err != nil {
		return err
	}
	c := &counter{id: t.counter}
	if err := db.counterGet.QueryRowContext(context.Background(), c.id[:]).Scan(&c.total, &c.events, &c.oldest, &c.newest, &c.expires); err != nil {
		return err
	}
	c.total -= t.amount
	c.events = max(c.events-n, 0)
	return db.put(c)
}

// sweep forgets old reservations, and counters of which nothing is in its window.
func (db *database) sweep(now time.Time) error {
	if err := db.exec(db.heldSweep, now.Add(-state.ReservationTTL).UnixMicro()); err != nil {
		return err
	}
	if err := db.exec(db.heldBound, maxReservations); err != nil {
		return err
	}
	rows, err := db.counterOld.QueryContext(context.Background(), now.Add(-time.Hour).UnixMicro())
	if err != nil {
		return err
	}
	defer rows.Close()
	var old [][]byte
	for rows.Next() {
		var counter []byte
		if err := rows.Scan(&counter); err != nil {
			return err
		}
		old = append(old, counter)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, counter := range old {
		if err := db.exec(db.usedDrop, counter); err != nil {
			return err
		}
		if err := db.exec(db.counterDrop, counter); err != nil {
			return err
		}
	}
	return nil
}

// taken is what a reservation took of one counter: 32 bytes of the column taken.
type taken struct {
	counter    id
	at, amount int64
}

type reservation []taken

func (db *database) held(name id) (reservation, error) {
	var raw []byte
	err := db.heldGet.QueryRowContext(context.Background(), name[:]).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(raw)%32 != 0 {
		return nil, errNonsense
	}
	var r reservation
	for ; len(raw) > 0; raw = raw[32:] {
		r = append(r, taken{
			counter: id(raw[:16]),
			at:      int64(binary.BigEndian.Uint64(raw[16:])),
			amount:  int64(binary.BigEndian.Uint64(raw[24:])),
		})
	}
	return r, nil
}

func (r reservation) encode() []byte {
	raw := make([]byte, 0, 32*len(r))
	for _, t := range r {
		raw = append(raw, t.counter[:]...)
		raw = binary.BigEndian.AppendUint64(raw, uint64(t.at))
		raw = binary.BigEndian.AppendUint64(raw, uint64(t.amount))
	}
	return raw
}

// covers is how much of a counter the reservation has taken, and whether it
// has to do with it at all.
func (r reservation) covers(counter id) (amount int64, known bool) {
	for _, t := range r {
		if t.counter == counter {
			amount += t.amount
			known = true
		}
	}
	return amount, known
}
