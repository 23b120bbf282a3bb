package state

import (
	"testing"
	"time"
)

func TestPeriods(t *testing.T) {
	for _, c := range []struct{ zone, period, now, start, end string }{
		{"UTC", "hour", "2026-11-24T14:05:30Z", "2026-11-24T14:00:00Z", "2026-11-24T15:00:00Z"},
		{"UTC", "day", "2026-11-24T00:00:00Z", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"},
		{"UTC", "week", "2026-11-29T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"},
		{"UTC", "week", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"},
		{"UTC", "month", "2026-12-31T10:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"Asia/Kolkata", "hour", "2026-11-24T14:05:30Z", "2026-11-24T13:30:00Z", "2026-11-24T14:30:00Z"},
		// The clocks go forward, and back: days of 23 and 25 hours.
		{"Europe/Berlin", "day", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"Europe/Berlin", "day", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		// The repeated hour is one of its own.
		{"Europe/Berlin", "hour", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"},
		{"Europe/Berlin", "hour", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"},
		// There is no midnight: the day begins at 01:00.
		{"America/Sao_Paulo", "day", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{"America/Sao_Paulo", "day", "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"},
		{"Africa/Cairo", "day", "2023-04-28T12:00:00Z", "2023-04-27T22:00:00Z", "2023-04-28T21:00:00Z"},
		// Midnight comes twice.
		{"America/Havana", "day", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		{"America/Havana", "day", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		// Samoa had no 30 December.
		{"Pacific/Apia", "day", "2011-12-30T09:59:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"Pacific/Apia", "day", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		start, end := Window{Period: c.period, Zone: zone}.period(now)
		if got := start.UTC().Format(time.RFC3339); got != c.start {
			t.Errorf("%s of %s in %s starts at %s, want %s", c.period, c.now, c.zone, got, c.start)
		}
		if got := end.UTC().Format(time.RFC3339); got != c.end {
			t.Errorf("%s of %s in %s ends at %s, want %s", c.period, c.now, c.zone, got, c.end)
		}
	}
}

// The periods of a zone follow each other without gap or overlap, whatever its
// clocks do.
func TestPeriodsTile(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Africa/Cairo", "Asia/Beirut",
		"Asia/Tehran", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/Scoresbysund", "Antarctica/Troll"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, period := range []string{"day", "week", "month"} {
			w := Window{Period: period, Zone: zone}
			_, at := w.period(time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC))
			for at.Year() < 2027 {
				start, end := w.period(at)
				if !start.Equal(at) || !end.After(start) {
					t.Fatalf("%s in %s: the period of %s is from %s to %s", period, name, at.UTC(), start.UTC(), end.UTC())
				}
				if last, _ := w.period(end.Add(-time.Microsecond)); !last.Equal(start) {
					t.Fatalf("%s in %s: the last moment before %s is in the period from %s, not %s", period, name, end.UTC(), last.UTC(), start.UTC())
				}
				at = end
			}
		}
	}
}

func TestHoursNeverGoBack(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		w := Window{Period: "hour", Zone: zone}
		last := int64(0)
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2027; at = at.Add(7 * time.Minute) {
			span := w.Span(at)
			if now := at.UnixMicro(); span.Stamp < last || span.Stamp > now || span.Until <= now {
				t.Fatalf("%s: at %s the hour is from %d to %d, after one from %d", name, at, span.Stamp, span.Until, last)
			}
			last = span.Stamp
		}
	}
}

func TestCheck(t *testing.T) {
	good := Charge{Limit: "a", Key: "k", Amount: 1, Max: 2, Window: Window{Sliding: time.Hour}}
	if err := Check([]Charge{good}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Charge){
		"no limit":        func(c *Charge) { c.Limit = "" },
		"no key":          func(c *Charge) { c.Key = "" },
		"long key":        func(c *Charge) { c.Key = string(make([]byte, maxText+1)) },
		"negative amount": func(c *Charge) { c.Amount = -1 },
		"large amount":    func(c *Charge) { c.Amount = MaxAmount + 1 },
		"negative max":    func(c *Charge) { c.Max = -1 },
		"large max":       func(c *Charge) { c.Max = MaxAmount + 1 },
		"no window":       func(c *Charge) { c.Window = Window{} },
		"negative window": func(c *Charge) { c.Window = Window{Sliding: -time.Hour} },
		"long window":     func(c *Charge) { c.Window = Window{Sliding: MaxSliding + 1} },
		"unknown period":  func(c *Charge) { c.Window = Window{Period: "year"} },
		"both":            func(c *Charge) { c.Window = Window{Period: "day", Sliding: time.Hour} },
	} {
		bad := good
		change(&bad)
		if Check([]Charge{bad}) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if Check([]Charge{good, good}) == nil {
		t.Error("the same limit and key twice: accepted")
	}
}

func TestWindowString(t *testing.T) {
	for want, w := range map[string]Window{
		"24h": {Sliding: 24 * time.Hour}, "1h30m": {Sliding: 90 * time.Minute}, "10m": {Sliding: 10 * time.Minute},
		"30s": {Sliding: 30 * time.Second}, "1h0m5s": {Sliding: time.Hour + 5*time.Second}, "day": {Period: "day"},
	} {
		if got := w.String(); got != want {
			t.Errorf("%v: %q, want %q", w.Sliding, got, want)
		}
	}
}
