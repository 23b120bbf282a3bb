package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
)

// parseDuration reads a length of time such as 30s, 5m or 1h30m, as
// [time.ParseDuration] does, but only without a sign.
func parseDuration(text string) (d time.Duration, wrong string) {
	const want = "must be a length of time with its unit, such as 500ms, 30s, 5m or 1h30m"
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") || text == "0" {
		return 0, want
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, want
	}
	return d, ""
}

// maxDecimal bounds the digits of a decimal, far above any sum of money.
const maxDecimal = 40

var decimal = onuse.Regexp(`^(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// checkDecimal checks a positive number that is kept as it is written, so that
// no float stands between the file and a sum of money.
func checkDecimal(text string) (wrong string) {
	switch {
	case !decimal().MatchString(text):
		return "must be a number written with digits and at most one point, such as 20000 or 99.95"
	case len(text) > maxDecimal:
		return fmt.Sprintf("must have at most %d digits", maxDecimal)
	case strings.Trim(text, "0.") == "":
		return "must be more than 0: what nobody may do belongs under tools.deny, or into a rule"
	}
	return ""
}

// calendars are the periods of a calendar.
var calendars = []string{"hour", "day", "week", "month"}

// Bounds of a sliding window. A longer one would keep every call of a year.
const (
	minWindow = time.Second
	maxWindow = 366 * 24 * time.Hour
)

var wholeDays = onuse.Regexp(`^[0-9]{1,4}d$`)

// parsePeriod reads a length of time, for which days (7d) are a unit too, or a
// period of the calendar.
func parsePeriod(text string) (p Period, wrong string) {
	if slices.Contains(calendars, text) {
		return Period{Calendar: text}, ""
	}
	if wholeDays().MatchString(text) {
		n, _ := strconv.Atoi(strings.TrimSuffix(text, "d")) // at most four digits
		p.Window = time.Duration(n) * 24 * time.Hour
	} else if p.Window, wrong = parseDuration(text); wrong != "" {
		return Period{}, "must be a length of time such as 90s, 24h or 7d, or " + oneOf(calendars)
	}
	if p.Window < minWindow || p.Window > maxWindow {
		return Period{}, "must be from 1s to 366d"
	}
	return p, ""
}

// sizeUnits are the units of a size, in bytes.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
	{"B", 1},
}

// parseSize reads a number of bytes such as 4096, 4MB (of 1000) or 32MiB (of 1024).
func parseSize(text string) (bytes int64, wrong string) {
	const want = "must be a size such as 32MiB, 4MB or 4096 (bytes)"
	digits, unit := text, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			digits, unit = rest, u.bytes
			break
		}
	}
	if strings.Trim(digits, "0123456789") != "" {
		return 0, want
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return 0, want
	}
	return n * unit, ""
}

// suggestValue guesses how a value such as a duration or a size was meant that lacks its unit
// or spells it otherwise: 30 for 30s, "32 mib" for 32MiB. It returns "" if it
// has no idea, or none that is right itself.
func suggestValue(k kind, text string) string {
	guess, wrong := guessValue(k, text), ""
	switch k {
	case kindDuration:
		_, wrong = parseDuration(guess)
	case kindSize:
		_, wrong = parseSize(guess)
	case kindPeriod:
		_, wrong = parsePeriod(guess)
	case kindDecimal:
		wrong = checkDecimal(guess)
	}
	if wrong != "" {
		return ""
	}
	return guess
}

func guessValue(k kind, text string) string {
	if k == kindDecimal {
		digits := strings.NewReplacer("_", "", " ", "", "'", "").Replace(text)
		if point := strings.LastIndexByte(digits, ','); point >= 0 && len(digits)-point == 4 {
			digits = strings.ReplaceAll(digits, ",", "") // 20,000
		}
		return digits
	}
	if k == kindPeriod {
		if !strings.ContainsAny(text, "0123456789") {
			return nearest(strings.TrimSuffix(strings.TrimPrefix(text, "per "), "s"), calendars)
		}
		k = kindDuration
	}
	compact := strings.ToLower(strings.ReplaceAll(text, " ", ""))
	number := strings.TrimRight(compact, "abcdefghijklmnopqrstuvwxyz")
	unit := compact[len(number):]
	if number == "" || len(number) > 12 || strings.Trim(number, "0123456789") != "" {
		return ""
	}
	switch k {
	case kindDuration:
		switch unit {
		case "", "sec", "secs", "second", "seconds", "s":
			return number + "s"
		case "ms", "millis", "milliseconds":
			return number + "ms"
		case "m", "min", "mins", "minute", "minutes":
			return number + "m"
		case "h", "hour", "hours":
			return number + "h"
		case "d", "day", "days":
			if n, err := strconv.Atoi(number); err == nil && n < 1000 {
				return strconv.Itoa(24*n) + "h"
			}
		}
	case kindSize:
		for _, u := range sizeUnits {
			name := strings.ToLower(u.name)
			if unit == name || unit+"ib" == name {
				return number + u.name
			}
		}
	}
	return ""
}
