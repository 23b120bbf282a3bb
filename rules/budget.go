package rules

import (
	"fmt"
	"regexp"
	"time"
)

// What the evaluation of one rule may use. A step is some tens of nanoseconds
// of work, so that the worst rule on the worst call ends within about a second.
const (
	maxSteps    = 4 << 20
	maxBytes    = 16 << 20  // of strings and lists built by functions of this package
	maxElements = 256 << 10 // of lists and objects built by expr's machine, or decoded from arguments
	maxDecoded  = 32 << 20  // of texts and names in arguments
	maxValues   = 1 << 20   // of a result
	maxDepth    = 256       // of nested values that are compared or printed
	maxJSON     = 128       // of nested arguments
)

// A budget is what is left of the steps and bytes of one evaluation.
type budget struct {
	steps, bytes int
	run          *evaluation // nil in what is computed without a call
}

// fill gives the budget for one evaluation.
func (b *budget) fill(steps, bytes int) { b.steps, b.bytes = steps, bytes }

// A fault is why an evaluation ended. It never holds a value of the call.
type fault struct{ reason string }

func (f *fault) Error() string { return f.reason }

func failf(format string, args ...any) error {
	return &fault{reason: fmt.Sprintf(format, args...)}
}

func (b *budget) charge(steps int) error {
	if steps < 0 || steps > b.steps {
		b.steps = 0
		return failf("it takes too many steps (more than %d)", maxSteps)
	}
	b.steps -= steps
	return nil
}

// read charges for going over a string or so many bytes.
func (b *budget) read(bytes int) error { return b.charge(bytes / 64) }

// grow charges for building something of so many bytes, before it is built.
func (b *budget) grow(bytes int) error {
	if bytes < 0 || bytes > b.bytes {
		b.bytes = 0
		return failf("it builds too much text or too long lists (more than %d bytes)", maxBytes)
	}
	b.bytes -= bytes
	return b.read(bytes)
}

// list charges for building a list of so many elements.
func (b *budget) list(n int) error {
	if n < 0 || n > maxBytes/16 {
		return b.grow(-1)
	}
	if err := b.charge(n); err != nil {
		return err
	}
	return b.grow(16 * n)
}

// inexact stands for a JSON number that neither int64 nor float64 holds
// exactly. Every operator and function fails on it.
type inexact struct{}

// typeName names the type of a value for a person.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "missing (nil)"
	case inexact, numeral:
		return "a number that cannot be held exactly"
	case bool:
		return "true or false"
	case int:
		return "an integer"
	case float64:
		return "a number"
	case string:
		return "a string"
	case []any, []string, []int:
		return "a list"
	case map[string]any, map[any]any:
		return "an object"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case *time.Location:
		return "a time zone"
	case *pattern, *regexp.Regexp:
		return "a regular expression"
	}
	return "of another type"
}
