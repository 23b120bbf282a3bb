package state

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Window is the time over which a limit counts: the last so many hours, or
// the calendar's current day.
type Window struct {
	Sliding time.Duration  // from 1 s to MaxSliding, in whole microseconds; or 0
	Period  string         // or "hour", "day", "week" (from Monday) or "month"
	Zone    *time.Location // of Period; nil means UTC
}

// Kind is the same for windows in which units are counted together.
func (w Window) Kind() string {
	if w.Period == "" {
		return w.Sliding.String()
	}
	return w.Period + " " + w.zone().String()
}

func (w Window) zone() *time.Location {
	if w.Zone == nil {
		return time.UTC
	}
	return w.Zone
}

func (w Window) check() error {
	switch w.Period {
	case "":
		if w.Sliding < time.Second || w.Sliding > MaxSliding {
			return fmt.Errorf("a sliding window of %v: it is from 1s to %v", w.Sliding, MaxSliding)
		}
	case "hour", "day", "week", "month":
		if w.Sliding != 0 {
			return errors.New("a window is sliding or of a period, not both")
		}
	default:
		return errors.New("a window's period is hour, day, week or month")
	}
	return nil
}

// A Span is a window as it lies at one moment. Times are in microseconds since
// 1970, which fit into 53 bits.
type Span struct {
	After int64 // units stamped later than this count
	Stamp int64 // how a unit of this moment is stamped
	Until int64 // when a unit of this moment stops counting
}

// Span is where the window lies at a moment.
func (w Window) Span(now time.Time) Span {
	if w.Period == "" {
		t, d := now.UnixMicro(), w.Sliding.Microseconds()
		return Span{After: t - d, Stamp: t, Until: t + d}
	}
	start, end := w.period(now)
	return Span{After: start.UnixMicro() - 1, Stamp: start.UnixMicro(), Until: end.UnixMicro()}
}

// period is the calendar period that holds a moment.
func (w Window) period(now time.Time) (start, end time.Time) {
	zone := w.zone()
	local := now.In(zone)
	if w.Period == "hour" {
		// An hour that is repeated when the clocks go back is an hour of its own.
		start = now.Add(-time.Duration(local.Minute())*time.Minute -
			time.Duration(local.Second())*time.Second - time.Duration(local.Nanosecond()))
		return start, start.Add(time.Hour)
	}
	year, month, day := local.Date()
	switch w.Period {
	case "week":
		day -= (int(local.Weekday()) + 6) % 7
		return midnight(year, month, day, zone), midnight(year, month, day+7, zone)
	case "month":
		return midnight(year, month, 1, zone), midnight(year, month+1, 1, zone)
	}
	return midnight(year, month, day, zone), midnight(year, month, day+1, zone)
}

// midnight is the first moment of a day. Where the clocks are changed at
// midnight, 00:00 comes twice, or not at all and the day begins with the
// change; time.Date does not say which of the possible moments it gives.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	wall := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	from, to := t.Add(-26*time.Hour).In(zone), t.Add(26*time.Hour).In(zone) // a whole day has been skipped, too
	_, change := from.ZoneBounds()
	if change.IsZero() || change.After(to) {
		return t
	}
	// With the offset before the change, and with the one after it.
	for _, at := range []time.Time{from, change} {
		_, offset := at.Zone()
		u := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if u.Hour() == 0 && u.Minute() == 0 && u.Second() == 0 && u.Day() == wall.Day() {
			return u
		}
	}
	return change.In(zone)
}

// String is how a person says the window: "24h", "day".
func (w Window) String() string {
	if w.Period != "" {
		return w.Period
	}
	s := w.Sliding.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}
