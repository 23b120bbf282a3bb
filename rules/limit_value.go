package rules

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/vm"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"golang.org/x/text/unicode/norm"

	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// A value is a compiled expression that gives something other than true or false.
type value struct {
	text      string
	program   *vm.Program
	readsArgs bool
	remembers bool
	traces    bool
}

// compileOperand does for a value what compileCondition does for a condition.
// The kinds are those of reflect, and what says them in words.
func compileOperand(text, what string, kinds ...string) (*value, *Problem) {
	return compileOperandOn(onCall, text, what, kinds...)
}

// compileOperandOn compiles what is read in a phase; without kinds any value will do.
func compileOperandOn(on phase, text, what string, kinds ...string) (*value, *Problem) {
	c, problem := compileGuarded(text, on, func(kind, shown string) *Problem {
		if len(kinds) == 0 || kind == "interface" || slices.Contains(kinds, kind) {
			return nil
		}
		return &Problem{Message: fmt.Sprintf("the expression gives %s, not %s", shown, what)}
	})
	if problem != nil {
		return nil, problem
	}
	return &value{text: text, program: c.program, readsArgs: c.readsArgs, remembers: c.remembers, traces: c.traces}, nil
}

// evalValue evaluates a value for a call.
func (v *evaluation) evalValue(x *value) (any, *RunError) {
	if x.readsArgs {
		if v.check(); v.invalid != "" {
			return nil, &RunError{Reason: v.invalid}
		}
	}
	if x.remembers && v.call.Session.Forgetful {
		return nil, &RunError{Reason: forgetful}
	}
	env := v.environment()
	if x.readsArgs {
		if env.Args = v.allArgs(); v.invalid != "" {
			return nil, &RunError{Reason: v.invalid}
		}
	}
	env.Budget.fill(maxSteps, maxBytes)
	v.machine.MemoryBudget = maxElements
	out, err := v.machine.Run(x.program, env)
	if err != nil {
		return nil, runError(x.text, err)
	}
	return plain(out), nil
}

// amount is what a summand counts, in millionths.
func amount(v any) (int64, error) {
	switch v := v.(type) {
	case int:
		if v < 0 {
			return 0, failf("the summand is negative")
		}
		if v > state.MaxAmount/state.Unit {
			return 0, failf("the summand is too large")
		}
		return int64(v) * state.Unit, nil
	case float64:
		if v < 0 {
			return 0, failf("the summand is negative")
		}
		if !(v <= state.MaxAmount/state.Unit) { // nor is it NaN
			return 0, failf("the summand is too large, or not a number")
		}
		if a, ok := millionths(v); ok {
			return a, nil
		}
		return 0, failf("the summand has more than six decimals")
	}
	return 0, failf("the summand is %s, not a number", typeName(v))
}

// millionths reads a float64 as the decimal that it prints as. One that has more
// than six decimals only because it was calculated in float64, as 0.1 + 0.2 is
// 0.30000000000000004, is the decimal within 4 units in the last place of it.
func millionths(f float64) (int64, bool) {
	d, ok := parseDecimal(strconv.FormatFloat(f, 'e', -1, 64))
	if !ok {
		return 0, false
	}
	if a, ok := d.millionths(); ok {
		return a, true
	}
	near := math.Round(f * state.Unit)
	ulp := math.Nextafter(f, math.Inf(1)) - f
	if near == 0 || near > state.MaxAmount || math.Abs(near/state.Unit-f) > 4*ulp {
		return 0, false
	}
	return int64(near), true
}

// millionths reports whether the decimal is a whole number of them, and at most
// what a limit can hold.
func (d decimal) millionths() (int64, bool) {
	d.exponent += 6
	a, ok := d.int64()
	return a, ok && a <= state.MaxAmount && a >= -state.MaxAmount
}

// jsonNumber is a number as JSON writes it (RFC 8259, section 6).
var jsonNumber = onuse.Regexp(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// formatAmount writes millionths as a decimal.
func formatAmount(a int64) string {
	s := strconv.FormatInt(a/state.Unit, 10)
	if rest := a % state.Unit; rest != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%06d", rest), "0")
	}
	return s
}

// maxKey bounds, in bytes, what a limit counts by.
const maxKey = 1024

// keyText is what a limit counts by, as one of its spellings: whoever writes
// the value must not get a new limit for each variant of it.
func keyText(v any) (string, error) {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < exactFloat {
			return strconv.FormatInt(int64(v), 10), nil
		}
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case string:
		if len(v) > maxKey {
			return "", failf("what it counts by is longer than %d bytes", maxKey)
		}
		text := norm.NFKC.String(foldCase(strings.Map(printing, norm.NFKC.String(v))))
		if text == "" {
			return "", failf("what it counts by is an empty string")
		}
		return text, nil
	}
	return "", failf("what it counts by is %s, not a string or a number", typeName(v))
}

// printing drops, for strings.Map, what shows as nothing or as space.
func printing(r rune) rune {
	if r == ' ' || visible.Hidden(r) {
		return -1
	}
	return r
}
