// Package state is what the firewall remembers between calls and across
// restarts, how much of each limit is used, and the folder for it.
//
// A call's charges are reserved together before it is sent, all or none, and
// given back only if nothing was sent:
//
//	verdict, err := store.Reserve(ctx, time.Now(), callID, charges)
//	if err != nil {
//		return deny(err) // what cannot be counted does not pass
//	}
//	if len(verdict.Exceeded) > 0 {
//		return refuse(verdict)
//	}
//	if err := send(call); nothingSent(err) {
//		store.Release(ctx, callID)
//	}
//
// The package holds the contract; package state/sqlite keeps it in one file.
// Each method of [Store] is one atomic step over counters whose names the
// caller of the step knows beforehand, and no number in it exceeds 2^53, so
// that one Redis script per method can keep it too.
package state

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Unit is how many of the integers of a [Charge] make one: amounts are held in
// millionths, so that sums of decimals are exact.
const Unit = 1_000_000

// MaxAmount bounds every amount, maximum and sum, in millionths: 2^53-1, which
// is 9,007,199,254.740991. It is the largest integer that Redis scripts, whose
// numbers are float64, hold exactly.
const MaxAmount = 1<<53 - 1

// Bounds of what one call can ask for.
const (
	MaxCharges = 256                  // of one reservation
	MaxSliding = 366 * 24 * time.Hour // of a sliding window
	maxText    = 4 << 10              // bytes of Limit, of Key and of a reservation's id
)

// ReservationTTL is for how long a reservation is known by its id, after it was
// last reserved. What it took stays counted for as long as its window lasts.
const ReservationTTL = time.Hour

// A Charge is what one limit takes for one call.
type Charge struct {
	Limit       string // which limit; the same in every process and after every restart
	Key         string // for whom it counts: a principal, a session, ...; only a keyed hash is stored
	Amount, Max int64  // in millionths; 0 <= Amount <= MaxAmount, 0 <= Max <= MaxAmount
	Window      Window
	Durable     bool // survives a power failure, not only the end of the process
	Over        bool // counts even where it exceeds Max: a person approved it
}

// A Verdict is the outcome of [Store.Reserve].
type Verdict struct {
	Exceeded []Excess // if there are any, nothing was reserved
}

// An Excess is a charge that does not fit.
type Excess struct {
	Charge int // index into the charges
	Room
}

// Room is what is left of a limit.
type Room struct {
	Left int64 // in millionths, never below 0
	Fits bool  // the charge's amount fits into it
	// Resets is, for a calendar window, the end of the period; for a sliding
	// one, when the amount will fit if nothing else is reserved until then, and
	// zero if it fits now. It is zero where Amount is above Max: it never fits.
	Resets time.Time
}

// A Store counts. All methods may be called concurrently, and several processes
// may use the same state. Any error means that nothing is known: the call that
// depends on it must not pass.
type Store interface {
	// Reserve takes all charges, or none if one of them exceeds its maximum and
	// is not Over. The same id again takes only what the reservation does not
	// cover yet, so that a call which is sent again in the course of one
	// exchange counts once. A reservation that was released is a new one.
	Reserve(ctx context.Context, now time.Time, id string, charges []Charge) (Verdict, error)
	// Release gives back everything that the id took and forgets the id. It is
	// for calls of which nothing was sent, under this id, ever. What has left its window
	// in the meantime is not given back. An unknown id is no error.
	Release(ctx context.Context, id string) error
	// Peek says what is left, charge by charge, and takes nothing.
	Peek(ctx context.Context, now time.Time, charges []Charge) ([]Room, error)
	// Close gives up the store. Every later call fails.
	Close() error
}

// Check reports what no store can keep: amounts out of range, texts that are
// missing or too long, a window that is none, two charges of one limit and key.
func Check(charges []Charge) error {
	if len(charges) > MaxCharges {
		return fmt.Errorf("a call is charged to %d limits: at most %d are possible", len(charges), MaxCharges)
	}
	for i, c := range charges {
		switch {
		case c.Limit == "" || len(c.Limit) > maxText:
			return errors.New("a charge names no limit, or by a name that is too long")
		case c.Key == "" || len(c.Key) > maxText:
			return errors.New("a charge has no key to count by, or one that is too long")
		case c.Amount < 0 || c.Amount > MaxAmount:
			return errors.New("the amount of a charge is negative or too large")
		case c.Max < 0 || c.Max > MaxAmount:
			return errors.New("the maximum of a charge is negative or too large")
		}
		if err := c.Window.check(); err != nil {
			return err
		}
		for _, other := range charges[:i] {
			if other.Limit == c.Limit && other.Key == c.Key {
				return errors.New("a limit is charged twice for one call")
			}
		}
	}
	return nil
}

// CheckID reports an id that cannot name a reservation.
func CheckID(id string) error {
	if id == "" || len(id) > maxText {
		return errors.New("a reservation needs an id, of at most 4096 bytes")
	}
	return nil
}
