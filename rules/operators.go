package rules

import (
	"math"
	"strings"
	"time"
)

// exactFloat bounds the integers that float64 holds without a gap.
const exactFloat = 1 << 53

// plain turns the integer types of package time into int.
func plain(v any) any {
	switch v := v.(type) {
	case time.Month:
		return int(v)
	case time.Weekday:
		return int(v)
	}
	return v
}

func mismatch(operator string, x, y any) error {
	return failf("%s cannot be used here: the left side is %s, the right side is %s", operator, typeName(x), typeName(y))
}

// floats gives both numbers as float64 if nothing is lost.
func floats(x, y any) (a, b float64, ok bool, err error) {
	if a, ok, err = toFloat(x); !ok || err != nil {
		return 0, 0, ok, err
	}
	b, ok, err = toFloat(y)
	return a, b, ok, err
}

func toFloat(v any) (f float64, ok bool, err error) {
	switch v := v.(type) {
	case float64:
		return v, true, nil
	case int:
		if v > exactFloat || v < -exactFloat {
			return 0, true, failf("an integer is too large to be mixed with other numbers exactly")
		}
		return float64(v), true, nil
	}
	return 0, false, nil
}

// finite lets a result of float arithmetic pass unless it is no number.
func finite(f float64) (any, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, failf("a calculation has no finite result (a division by zero, or an overflow)")
	}
	return f, nil
}

var errOverflow = failf("a calculation overflows")

func add(b *budget, args []any) (any, error) {
	x, y := plain(args[0]), plain(args[1])
	switch x := x.(type) {
	case int:
		if y, ok := y.(int); ok {
			if sum := x + y; (sum > x) == (y > 0) {
				return sum, nil
			}
			return nil, errOverflow
		}
	case string:
		if y, ok := y.(string); ok {
			if err := b.grow(len(x) + len(y)); err != nil {
				return nil, err
			}
			return x + y, nil
		}
	case time.Time:
		if y, ok := y.(time.Duration); ok {
			return x.Add(y), nil
		}
	case time.Duration:
		switch y := y.(type) {
		case time.Time:
			return y.Add(x), nil
		case time.Duration:
			if sum := x + y; (sum > x) == (y > 0) {
				return sum, nil
			}
			return nil, errOverflow
		}
	}
	if n, ok := length(x); ok {
		if m, ok := length(y); ok {
			if err := b.list(n + m); err != nil {
				return nil, err
			}
			return appendElements(appendElements(make([]any, 0, n+m), x), y), nil
		}
	}
	f, g, ok, err := floats(x, y)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, mismatch("+", x, y)
	}
	return finite(f + g)
}

func subtract(_ *budget, args []any) (any, error) {
	x, y := plain(args[0]), plain(args[1])
	switch x := x.(type) {
	case int:
		if y, ok := y.(int); ok {
			if difference := x - y; (difference < x) == (y > 0) {
				return difference, nil
			}
			return nil, errOverflow
		}
	case time.Time:
		switch y := y.(type) {
		case time.Time:
			return x.Sub(y), nil
		case time.Duration:
			if y == math.MinInt64 {
				return nil, errOverflow
			}
			return x.Add(-y), nil
		}
	case time.Duration:
		if y, ok := y.(time.Duration); ok {
			if difference := x - y; (difference < x) == (y > 0) {
				return difference, nil
			}
			return nil, errOverflow
		}
	}
	f, g, ok, err := floats(x, y)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, mismatch("-", x, y)
	}
	return finite(f - g)
}

// product multiplies if the result is within int64.
func product(x, y int64) (int64, error) {
	if x == 0 || y == 0 {
		return 0, nil
	}
	p := x * y
	if p/y != x || x == -1 && y == math.MinInt64 || y == -1 && x == math.MinInt64 {
		return 0, errOverflow
	}
	return p, nil
}

func multiply(_ *budget, args []any) (any, error) {
	x, y := plain(args[0]), plain(args[1])
	if d, ok := y.(time.Duration); ok {
		if _, both := x.(time.Duration); !both {
			x, y = d, x
		}
	}
	switch x := x.(type) {
	case int:
		if y, ok := y.(int); ok {
			p, err := product(int64(x), int64(y))
			return int(p), err
		}
	case time.Duration:
		switch y := y.(type) {
		case int:
			p, err := product(int64(x), int64(y))
			return time.Duration(p), err
		case float64:
			if f := float64(x) * y; math.Abs(f) < math.MaxInt64 {
				return time.Duration(f), nil
			}
			return nil, errOverflow
		}
		return nil, mismatch("*", x, y)
	}
	f, g, ok, err := floats(x, y)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, mismatch("*", x, y)
	}
	return finite(f * g)
}

func divide(_ *budget, args []any) (any, error) {
	x, y := plain(args[0]), plain(args[1])
	f, g, ok, err := floats(x, y)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, mismatch("/", x, y)
	}
	return finite(f / g)
}

func modulo(_ *budget, args []any) (any, error) {
	x, y := plain(args[0]), plain(args[1])
	a, ok := x.(int)
	m, both := y.(int)
	if !ok || !both {
		return nil, mismatch("%", x, y)
	}
	if m == 0 {
		return nil, failf("a division by zero")
	}
	return a % m, nil
}

func power(_ *budget, args []any) (any, error) {
	x, y := plain(args[0]), plain(args[1])
	f, g, ok, err := floats(x, y)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, mismatch("**", x, y)
	}
	return finite(math.Pow(f, g))
}

func negate(_ *budget, args []any) (any, error) {
	switch x := plain(args[0]).(type) {
	case int:
		if x == math.MinInt64 {
			return nil, errOverflow
		}
		return -x, nil
	case float64:
		return -x, nil
	}
	return nil, failf("- cannot be used here: the value is %s", typeName(args[0]))
}

func number(_ *budget, args []any) (any, error) {
	switch x := plain(args[0]).(type) {
	case int, float64:
		return x, nil
	}
	return nil, failf("+ cannot be used here: the value is %s", typeName(args[0]))
}

// compare orders two values of one type. Integers and floats are compared
// exactly or not at all: beyond 2^53 a float64 does not say which decimal it
// was written as.
func compare(b *budget, operator string, x, y any) (int, error) {
	x, y = plain(x), plain(y)
	switch x := x.(type) {
	case int:
		switch y := y.(type) {
		case int:
			return order(x, y), nil
		case float64:
			if math.Abs(y) >= exactFloat {
				return 0, failf("an integer cannot be compared exactly with a fraction of this size")
			}
			return order(float64(x), y), nil
		}
	case float64:
		switch y := y.(type) {
		case float64:
			return order(x, y), nil
		case int:
			c, err := compare(b, operator, y, x)
			return -c, err
		}
	case string:
		if y, ok := y.(string); ok {
			return strings.Compare(x, y), b.read(min(len(x), len(y)))
		}
	case time.Time:
		if y, ok := y.(time.Time); ok {
			return x.Compare(y), nil
		}
	case time.Duration:
		if y, ok := y.(time.Duration); ok {
			return order(x, y), nil
		}
	}
	return 0, mismatch(operator, x, y)
}

func order[T int | float64 | time.Duration](x, y T) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func comparison(operator string, holds func(int) bool) function {
	return func(b *budget, args []any) (any, error) {
		c, err := compare(b, operator, args[0], args[1])
		return holds(c), err
	}
}

// equal compares deeply. Values of different types are not equal, but a number
// that is not held exactly equals nothing that can be told.
func equal(b *budget, x, y any, depth int) (bool, error) {
	if err := b.charge(1); err != nil {
		return false, err
	}
	if depth > maxDepth {
		return false, failf("values are nested too deeply to be compared")
	}
	x, y = plain(x), plain(y)
	if x == nil || y == nil {
		return x == nil && y == nil, nil
	}
	if x == any(inexact{}) || y == any(inexact{}) {
		return false, mismatch("==", x, y)
	}
	switch x := x.(type) {
	case bool:
		y, ok := y.(bool)
		return ok && x == y, nil
	case map[string]any:
		y, ok := y.(map[string]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		same := true
		for k, v := range x { // to the end, so that the outcome does not depend on the order
			w, ok := y[k]
			if !ok {
				same = false
				continue
			}
			eq, err := equal(b, v, w, depth+1)
			if err != nil {
				return false, err
			}
			same = same && eq
		}
		return same, nil
	}
	if n, ok := length(x); ok {
		m, ok := length(y)
		if !ok || n != m {
			return false, nil
		}
		for i := range n {
			if eq, err := equal(b, element(x, i), element(y, i), depth+1); !eq || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	if comparable, known := sameKind(x, y); !comparable {
		if !known {
			return false, mismatch("==", x, y)
		}
		return false, nil
	}
	c, err := compare(b, "==", x, y)
	return c == 0, err
}

// sameKind reports whether compare can order the two, and whether both are of
// a type that equality is defined on.
func sameKind(x, y any) (comparable, known bool) {
	kind := func(v any) int {
		switch v.(type) {
		case int, float64:
			return 1
		case string:
			return 2
		case time.Time:
			return 3
		case time.Duration:
			return 4
		case bool, map[string]any, []any, []string, []int:
			return 5
		}
		return 0
	}
	a, b := kind(x), kind(y)
	return a == b && a > 0 && a < 5, a > 0 && b > 0
}

func isEqual(b *budget, args []any) (any, error) {
	return equal(b, args[0], args[1], 0)
}

// in looks for an element of a list or a name of an object.
func in(b *budget, args []any) (any, error) {
	needle, hay := args[0], args[1]
	if n, ok := length(hay); ok {
		for i := range n {
			if eq, err := equal(b, element(hay, i), needle, 0); eq || err != nil {
				return eq, err
			}
		}
		return false, nil
	}
	name, ok := needle.(string)
	if object, is := hay.(map[string]any); is && ok {
		_, found := object[name]
		return found, nil
	}
	return nil, mismatch("in", needle, hay)
}

// rangeOf builds the list of a..b.
func rangeOf(b *budget, args []any) (any, error) {
	from, ok := args[0].(int)
	to, both := args[1].(int)
	if !ok || !both {
		return nil, mismatch("..", args[0], args[1])
	}
	if to < from {
		return []int{}, nil
	}
	n := to - from + 1
	if n <= 0 {
		n = -1 // it overflowed
	}
	if err := b.list(n); err != nil {
		return nil, err
	}
	list := make([]int, n)
	for i := range list {
		list[i] = from + i
	}
	return list, nil
}

// each lets a loop go over a list, and charges for all of it.
func each(b *budget, args []any) (any, error) {
	n, ok := length(args[0])
	if !ok {
		return nil, failf("this goes over the elements of a list, but the value is %s", typeName(args[0]))
	}
	weight := args[1].(int)
	if n > maxSteps/weight {
		return nil, b.charge(-1)
	}
	return args[0], b.charge(n * weight)
}

// index lets integers and names pass into [ ], and nothing that the machine
// would round.
func index(_ *budget, args []any) (any, error) {
	switch v := plain(args[0]).(type) {
	case int, string:
		return v, nil
	}
	return nil, failf("an index has to be an integer or a name, but it is %s", typeName(args[0]))
}

// length is the number of elements of a list.
func length(v any) (int, bool) {
	switch v := v.(type) {
	case []any:
		return len(v), true
	case []string:
		return len(v), true
	case []int:
		return len(v), true
	}
	return 0, false
}

// element is element i of a list.
func element(v any, i int) any {
	switch v := v.(type) {
	case []string:
		return v[i]
	case []int:
		return v[i]
	}
	return v.([]any)[i]
}

func appendElements(list []any, v any) []any {
	n, _ := length(v)
	for i := range n {
		list = append(list, element(v, i))
	}
	return list
}
