package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Windows and small containers have no time zones of their own

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// A Limit caps how often the tools that it names are called, or the sum of
// something in their arguments, over a time. It can only tighten a decision.
type Limit struct {
	Name  string   // unique among rules and limits; a new name counts from zero
	Tools []string // patterns as in [Rule]; all of these tools count together
	When  string   // an expr expression of type bool: only calls for which it holds count; empty means all
	// Sum is an expr expression of a number, at least 0 and of at most six
	// decimals: "args.amount". Empty counts each call as 1.
	Sum string
	Max string // what Per allows: a decimal number, above 0 and at most 9007199254.740991
	// Per is a sliding window ("24h", "90m", "30d"), or the calendar's current
	// "hour", "day", "week" (from Monday) or "month" in Zone.
	Per  string
	Zone string // of the time zone database ("Europe/Berlin"); empty means UTC
	// By is what is counted apart: "principal" (also if empty), "session",
	// "tool", or an expr expression that gives a string or a number. Strings
	// that differ only in case, spaces or Unicode form count as one.
	By      string
	Then    Action // Ask or Deny, where a call exceeds what is left
	Message string // for the agent, before what is left and when it resets
}

// A limit is a compiled [Limit].
type limit struct {
	path   string // "limits[2]"
	name   string
	globs  []glob // in the order of the file
	when   *condition
	sum    *value // nil counts calls
	byKind string // "principal", "session", "tool", or "" for by
	by     *value

	charge  state.Charge // but for Key and Amount
	zone    *time.Location
	then    Action
	allows  string // "200 per 24h for you"
	message string
	failed  Decision // when it cannot be counted, but for Failed
}

func compileLimit(path string, src Limit, report func(Problem)) *limit {
	l := &limit{path: path, name: src.Name, then: src.Then, message: src.Message}
	problem := func(field, format string, args ...any) {
		report(Problem{Path: path + "." + field, Message: fmt.Sprintf(format, args...)})
	}
	if len(src.Tools) == 0 {
		problem("tools", `the limit names no tools; "*" names all of them`)
	}
	for i, text := range src.Tools {
		if p, ok := checkPattern(text); !ok {
			p.Path = fmt.Sprintf("%s.tools[%d]", path, i)
			report(p)
		}
		g := newGlob(text, true) // matching more than a server would is the safe side
		g.index = i
		l.globs = append(l.globs, g)
	}
	switch src.Then {
	case Ask, Deny:
	case Allow:
		problem("then", "a limit can only tighten a decision: it is ask or deny")
	default:
		problem("then", "it is missing or unknown: it is ask or deny")
	}
	if src.When != "" {
		when, p := compileCondition(src.When, onCall)
		if p != nil {
			p.Path = path + ".when"
			report(*p)
		}
		l.when = when
	}
	if src.Sum != "" {
		sum, p := compileOperand(src.Sum, "a number", "int", "float64")
		if p != nil {
			p.Path = path + ".sum"
			report(*p)
		}
		l.sum = sum
	}
	max, err := parseMax(src.Max, src.Sum == "")
	if err != nil {
		problem("max", "%v", err)
	}
	window, err := parseWindow(src.Per)
	if err != nil {
		problem("per", "%v", err)
	}
	if src.Zone != "" && window.Period == "" {
		problem("zone", `only the calendar's hour, day, week and month lie in a zone; a sliding window such as "24h" does not`)
	}
	zone, err := time.LoadLocation(src.Zone)
	if err != nil {
		problem("zone", "there is no time zone %q", src.Zone)
		zone = time.UTC
	}
	if window.Period != "" {
		window.Zone = zone
	}
	whom := l.compileBy(path, src.By, report)

	l.zone = zone
	// What is summed, and by what, is part of a limit's identity: after a change,
	// cents are not added to dollars.
	l.charge = state.Charge{
		Limit: strings.Join([]string{src.Name, src.Sum, src.By}, "\x00"), Max: max, Window: window,
		// Money has to survive a power failure, and so has what would be
		// forgotten for long. A rate of an hour has not: each write waits for the disk.
		Durable: src.Sum != "" || window.Period != "" && window.Period != "hour" || window.Sliding >= 24*time.Hour,
	}
	unit := ""
	if l.sum == nil {
		unit = " calls"
		if max == state.Unit {
			unit = " call"
		}
	}
	l.allows = formatAmount(max) + unit + " per " + window.String() + whom
	l.failed = newDecision(Deny, src.Name, fmt.Sprintf("What this call counts toward the limit %q could not be determined, so the call is refused.", src.Name))
	return l
}

// compileBy compiles what is counted apart, and says it in words.
func (l *limit) compileBy(path, text string, report func(Problem)) (whom string) {
	switch text {
	case "", "principal":
		l.byKind = "principal"
		return " for you"
	case "session":
		l.byKind = "session"
		return " in this session"
	case "tool":
		l.byKind = "tool"
		return " for this tool"
	}
	by, p := compileOperand(text, "a string or a number", "string", "int", "float64")
	if p != nil {
		p.Path = path + ".by"
		if p.Suggestion == "" {
			p.Suggestion = nearest(text, []string{"principal", "session", "tool"})
		}
		report(*p)
	}
	l.by = by
	if len(text) <= 60 {
		return " for this " + text
	}
	return " for what this call concerns"
}

// names reports whether the limit speaks of a tool.
func (l *limit) names(sub *subject) bool {
	for i := range l.globs {
		if l.globs[i].matches(sub) {
			return true
		}
	}
	return false
}

func parseMax(text string, counts bool) (int64, error) {
	if !jsonNumber().MatchString(text) {
		return 0, fmt.Errorf("it is missing or not a decimal number, such as 20 or 199.90")
	}
	d, ok := parseDecimal(text)
	max, exact := d.millionths()
	switch {
	case !ok || !exact:
		return 0, fmt.Errorf("it has more than six decimals, or is above %s", formatAmount(state.MaxAmount))
	case max <= 0:
		return 0, fmt.Errorf("it has to be above 0; what is never allowed is said by tools.deny")
	case counts && max%state.Unit != 0:
		return 0, fmt.Errorf("the limit counts calls, so it is a whole number")
	}
	return max, nil
}

func parseWindow(text string) (state.Window, error) {
	switch text {
	case "hour", "day", "week", "month":
		return state.Window{Period: text}, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if n, err = strconv.Atoi(days); n > 366 || n < 0 {
			n = 367
		}
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil {
		return state.Window{}, fmt.Errorf(`it is a time such as "90m", "24h" or "30d", or the calendar's "hour", "day", "week" or "month"`)
	}
	if d < time.Second || d > state.MaxSliding || d%time.Microsecond != 0 {
		return state.Window{}, fmt.Errorf("it is from 1s to 366d")
	}
	return state.Window{Sliding: d}, nil
}
