package rules

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A function stands in for one of expr's operators or functions. Its arguments
// were counted when the rule was compiled; their types were not all known.
type function = func(b *budget, args []any) (any, error)

// functions are all that a compiled condition can call, by the name that they
// have in expr, or by one that the guard gives them.
var functions map[string]function

func init() {
	functions = map[string]function{
		"+": add, "-": subtract, "*": multiply, "/": divide, "%": modulo, "**": power,
		"unary-": negate, "unary+": number,
		"==": isEqual, "in": in, "..": rangeOf,
		"<":          comparison("<", func(c int) bool { return c < 0 }),
		"<=":         comparison("<=", func(c int) bool { return c <= 0 }),
		">":          comparison(">", func(c int) bool { return c > 0 }),
		">=":         comparison(">=", func(c int) bool { return c >= 0 }),
		"contains":   textTest("contains", strings.Contains),
		"startsWith": textTest("startsWith", strings.HasPrefix),
		"endsWith":   textTest("endsWith", strings.HasSuffix),
		"hasPrefix":  textTest("hasPrefix", strings.HasPrefix),
		"hasSuffix":  textTest("hasSuffix", strings.HasSuffix),
		"matches":    matches,
		"each":       each, "index": index, "method": method,

		"len": lengthOf, "type": typeOf, "string": stringOf, "int": intOf, "float": floatOf,
		"abs": abs, "ceil": rounding(math.Ceil), "floor": rounding(math.Floor), "round": rounding(math.Round),
		"trim": trim, "trimPrefix": trimEnd("trimPrefix", strings.TrimPrefix), "trimSuffix": trimEnd("trimSuffix", strings.TrimSuffix),
		"upper": changeCase("upper", strings.ToUpper), "lower": changeCase("lower", strings.ToLower),
		"split": splitter("split", strings.SplitN), "splitAfter": splitter("splitAfter", strings.SplitAfterN),
		"replace": replace, "repeat": repeat, "join": join,
		"indexOf": find("indexOf", strings.Index), "lastIndexOf": find("lastIndexOf", strings.LastIndex),
		"toBase64": toBase64, "fromBase64": fromBase64, "toJSON": toJSON, "fromJSON": fromJSON,
		"now": now, "date": date, "duration": duration,

		"sum": sum, "max": extreme("max", 1), "min": extreme("min", -1), "mean": mean, "median": median,
		"first": first, "last": last, "lastTrue": lastTrue, "get": get, "take": take, "reverse": reverse, "uniq": uniq,
		"concat": concat, "flatten": flatten, "sort": sortList, "sortBy": sortBy, "groupBy": groupBy,
		"keys": keys, "values": values, "toPairs": toPairs, "fromPairs": fromPairs,

		"bitand":  bitwise("bitand", func(x, y int) int { return x & y }),
		"bitor":   bitwise("bitor", func(x, y int) int { return x | y }),
		"bitxor":  bitwise("bitxor", func(x, y int) int { return x ^ y }),
		"bitnand": bitwise("bitnand", func(x, y int) int { return x &^ y }),
		"bitshl":  shift("bitshl"), "bitshr": shift("bitshr"), "bitushr": shift("bitushr"),
		"bitnot": bitnot,
	}
	for name, h := range helpers {
		functions[name] = h.call
	}
	guardedFunctions = makeFunctions()
}

func unusable(name string, v any) error {
	return failf("%s cannot be used here: the value is %s", name, typeName(v))
}

// texts gives arguments that all have to be strings, and charges for reading them.
func texts(b *budget, name string, args []any) ([]string, error) {
	out := make([]string, len(args))
	total := 0
	for i, arg := range args {
		s, ok := arg.(string)
		if !ok {
			return nil, unusable(name, arg)
		}
		out[i] = s
		total += len(s)
	}
	return out, b.read(total)
}

func textTest(name string, test func(s, part string) bool) function {
	return func(b *budget, args []any) (any, error) {
		s, ok := args[0].(string)
		part, both := args[1].(string)
		if !ok || !both {
			return nil, mismatch(name, args[0], args[1])
		}
		return test(s, part), b.read(len(s) + len(part))
	}
}

// matches charges for the text times the size of the expression, which is the
// worst that the engine of package regexp takes.
func matches(b *budget, args []any) (any, error) {
	s, ok := args[0].(string)
	if !ok {
		return nil, mismatch("matches", args[0], args[1])
	}
	p, ok := args[1].(*pattern)
	if !ok {
		text, ok := args[1].(string)
		if !ok {
			return nil, mismatch("matches", args[0], args[1])
		}
		var err error
		if p, err = compilePattern(text, maxDynamicPattern); err != nil {
			return nil, err
		}
		if err := b.charge(100 * p.size); err != nil {
			return nil, err
		}
	}
	if len(s) > maxBytes {
		return nil, b.charge(-1)
	}
	if err := b.charge(len(s) * p.size / 8); err != nil {
		return nil, err
	}
	return p.re.MatchString(s), nil
}

// methods can be called on times and durations.
var methods = map[string]bool{
	"Year": true, "Month": true, "Day": true, "Hour": true, "Minute": true, "Second": true, "Weekday": true, "YearDay": true,
	"Unix": true, "UTC": true, "In": true, "Before": true, "After": true, "Equal": true, "Add": true, "Sub": true,
	"Hours": true, "Minutes": true, "Seconds": true, "Milliseconds": true, "String": true,
}

// method calls args[1] on args[0]; args[2] says whether nil is passed on (?.).
func method(b *budget, args []any) (any, error) {
	receiver, name, optional, rest := args[0], args[1].(string), args[2].(bool), args[3:]
	if receiver == nil && optional {
		return nil, nil
	}
	if name == "String" && len(rest) == 0 {
		switch v := receiver.(type) {
		case time.Month:
			return v.String(), nil
		case time.Weekday:
			return v.String(), nil
		case time.Duration:
			return v.String(), nil
		}
	}
	switch v := receiver.(type) {
	case map[string]any:
		return testMethod(b, v, name, rest)
	case time.Time:
		if len(rest) == 0 {
			switch name {
			case "Year":
				return v.Year(), nil
			case "Month":
				return v.Month(), nil
			case "Day":
				return v.Day(), nil
			case "Hour":
				return v.Hour(), nil
			case "Minute":
				return v.Minute(), nil
			case "Second":
				return v.Second(), nil
			case "Weekday":
				return v.Weekday(), nil
			case "YearDay":
				return v.YearDay(), nil
			case "Unix":
				return int(v.Unix()), nil
			case "UTC":
				return v.UTC(), nil
			}
			break
		}
		switch name {
		case "Before":
			return comparison("Before", func(c int) bool { return c < 0 })(b, []any{v, rest[0]})
		case "After":
			return comparison("After", func(c int) bool { return c > 0 })(b, []any{v, rest[0]})
		case "Equal":
			return comparison("Equal", func(c int) bool { return c == 0 })(b, []any{v, rest[0]})
		case "Add":
			if d, ok := rest[0].(time.Duration); ok {
				return v.Add(d), nil
			}
		case "Sub":
			if u, ok := rest[0].(time.Time); ok {
				return v.Sub(u), nil
			}
		case "In":
			if zone, ok := rest[0].(*time.Location); ok {
				return v.In(zone), nil
			}
		}
	case time.Duration:
		if len(rest) != 0 {
			break
		}
		switch name {
		case "Hours":
			return v.Hours(), nil
		case "Minutes":
			return v.Minutes(), nil
		case "Seconds":
			return v.Seconds(), nil
		case "Milliseconds":
			return int(v.Milliseconds()), nil
		}
	}
	return nil, unusable("."+name+"()", receiver)
}

// lengthOf counts the elements of a list or object, or the code points of a string.
func lengthOf(b *budget, args []any) (any, error) {
	if n, ok := length(args[0]); ok {
		return n, nil
	}
	switch v := args[0].(type) {
	case string:
		return utf8.RuneCountInString(v), b.read(len(v))
	case map[string]any:
		return len(v), nil
	}
	return nil, unusable("len", args[0])
}

// typeOf names a type as expr's own function does.
func typeOf(_ *budget, args []any) (any, error) {
	switch v := plain(args[0]).(type) {
	case nil:
		return "nil", nil
	case bool:
		return "bool", nil
	case int:
		return "int", nil
	case float64:
		return "float", nil
	case string:
		return "string", nil
	case map[string]any:
		return "map", nil
	case time.Time:
		return "time.Time", nil
	case time.Duration:
		return "time.Duration", nil
	default:
		if _, ok := length(v); ok {
			return "array", nil
		}
	}
	return nil, unusable("type", args[0])
}

func stringOf(_ *budget, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return v, nil
	case bool, int, float64, time.Time, time.Duration, time.Month, time.Weekday:
		return fmt.Sprint(v), nil
	}
	return nil, unusable("string", args[0])
}

func intOf(b *budget, args []any) (any, error) {
	switch v := plain(args[0]).(type) {
	case int:
		return v, nil
	case float64:
		if math.Abs(v) < exactFloat {
			return int(v), nil
		}
		return nil, errOverflow
	case time.Duration:
		return int(v), nil
	case string:
		if i, err := strconv.Atoi(v); err == nil {
			return i, b.read(len(v))
		}
		return nil, failf("int cannot be used here: the string is not an integer")
	}
	return nil, unusable("int", args[0])
}

func floatOf(b *budget, args []any) (any, error) {
	v := plain(args[0])
	if s, ok := v.(string); ok {
		if len(s) > 64 {
			return nil, failf("float cannot be used here: the string is too long for a number")
		}
		n, err := decodeJSON([]byte(s), &room{values: 1, bytes: len(s)})
		switch n.(type) {
		case int, float64:
			v = n
		}
		if err != nil {
			return nil, failf("float cannot be used here: the string is not a number")
		}
	}
	f, ok, err := toFloat(v)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, unusable("float", args[0])
	}
	return f, nil
}

func abs(b *budget, args []any) (any, error) {
	switch v := plain(args[0]).(type) {
	case int:
		if v < 0 {
			return negate(b, args)
		}
		return v, nil
	case float64:
		return math.Abs(v), nil
	}
	return nil, unusable("abs", args[0])
}

func rounding(round func(float64) float64) function {
	return func(_ *budget, args []any) (any, error) {
		f, ok, err := toFloat(plain(args[0]))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, unusable("rounding", args[0])
		}
		return round(f), nil
	}
}

func trim(b *budget, args []any) (any, error) {
	s, err := texts(b, "trim", args)
	if err != nil {
		return nil, err
	}
	if len(s) == 1 {
		return strings.TrimSpace(s[0]), nil
	}
	if err := b.charge(len(s[0]) / 8 * (1 + len(s[1])/8)); err != nil { // each end against the whole set
		return nil, err
	}
	return strings.Trim(s[0], s[1]), nil
}

func trimEnd(name string, trim func(s, part string) string) function {
	return func(b *budget, args []any) (any, error) {
		s, err := texts(b, name, args)
		if err != nil {
			return nil, err
		}
		if len(s) == 1 {
			return trim(s[0], " "), nil
		}
		return trim(s[0], s[1]), nil
	}
}

func changeCase(name string, change func(string) string) function {
	return func(b *budget, args []any) (any, error) {
		s, err := texts(b, name, args)
		if err != nil {
			return nil, err
		}
		if err := b.grow(2 * len(s[0])); err != nil { // some characters are longer in the other case
			return nil, err
		}
		return change(s[0]), nil
	}
}

func splitter(name string, split func(s, sep string, n int) []string) function {
	return func(b *budget, args []any) (any, error) {
		s, err := texts(b, name, args[:2])
		if err != nil {
			return nil, err
		}
		n := -1
		if len(args) == 3 {
			var ok bool
			if n, ok = args[2].(int); !ok {
				return nil, unusable(name, args[2])
			}
		}
		if err := b.list(strings.Count(s[0], s[1]) + 1); err != nil {
			return nil, err
		}
		return split(s[0], s[1], n), nil
	}
}

func replace(b *budget, args []any) (any, error) {
	s, err := texts(b, "replace", args[:3])
	if err != nil {
		return nil, err
	}
	n := strings.Count(s[0], s[1])
	if len(args) == 4 {
		limit, ok := args[3].(int)
		if !ok {
			return nil, unusable("replace", args[3])
		}
		if limit >= 0 {
			n = min(n, limit)
		}
	}
	if len(s[0]) > maxBytes || len(s[2]) > maxBytes { // so that the product below cannot overflow
		return nil, b.grow(-1)
	}
	if err := b.grow(len(s[0]) + n*len(s[2])); err != nil {
		return nil, err
	}
	return strings.Replace(s[0], s[1], s[2], n), nil
}

func repeat(b *budget, args []any) (any, error) {
	s, err := texts(b, "repeat", args[:1])
	if err != nil {
		return nil, err
	}
	n, ok := args[1].(int)
	if !ok || n < 0 {
		return nil, failf("repeat cannot be used here: the count has to be an integer of zero or more")
	}
	if len(s[0]) > 0 && n > maxBytes/len(s[0]) {
		return nil, b.grow(-1)
	}
	if err := b.grow(n * len(s[0])); err != nil {
		return nil, err
	}
	return strings.Repeat(s[0], n), nil
}

func join(b *budget, args []any) (any, error) {
	n, ok := length(args[0])
	if !ok {
		return nil, unusable("join", args[0])
	}
	glue := ""
	if len(args) == 2 {
		if glue, ok = args[1].(string); !ok {
			return nil, unusable("join", args[1])
		}
	}
	if err := b.list(n); err != nil {
		return nil, err
	}
	parts := make([]string, n)
	for i := range parts {
		part, ok := element(args[0], i).(string)
		if !ok {
			return nil, unusable("join", element(args[0], i))
		}
		if err := b.grow(len(part) + len(glue)); err != nil {
			return nil, err
		}
		parts[i] = part
	}
	return strings.Join(parts, glue), nil
}

func find(name string, index func(s, part string) int) function {
	return func(b *budget, args []any) (any, error) {
		s, err := texts(b, name, args)
		if err != nil {
			return nil, err
		}
		return index(s[0], s[1]), nil
	}
}

func toBase64(b *budget, args []any) (any, error) {
	s, err := texts(b, "toBase64", args)
	if err != nil {
		return nil, err
	}
	if err := b.grow(base64.StdEncoding.EncodedLen(len(s[0]))); err != nil {
		return nil, err
	}
	return base64.StdEncoding.EncodeToString([]byte(s[0])), nil
}

func fromBase64(b *budget, args []any) (any, error) {
	s, err := texts(b, "fromBase64", args)
	if err != nil {
		return nil, err
	}
	if err := b.grow(len(s[0])); err != nil {
		return nil, err
	}
	out, err := base64.StdEncoding.DecodeString(s[0])
	if err != nil {
		return nil, failf("fromBase64 cannot be used here: the string is not Base64")
	}
	return string(out), nil
}

func bitwise(name string, op func(x, y int) int) function {
	return func(_ *budget, args []any) (any, error) {
		x, ok := args[0].(int)
		y, both := args[1].(int)
		if !ok || !both {
			return nil, mismatch(name, args[0], args[1])
		}
		return op(x, y), nil
	}
}

func shift(name string) function {
	return func(_ *budget, args []any) (any, error) {
		x, ok := args[0].(int)
		y, both := args[1].(int)
		if !ok || !both {
			return nil, mismatch(name, args[0], args[1])
		}
		if y < 0 || y > 63 {
			return nil, failf("%s cannot shift by less than 0 or more than 63 bits", name)
		}
		switch name {
		case "bitshr":
			return x >> y, nil
		case "bitushr":
			return int(uint(x) >> y), nil
		}
		if shifted := x << y; shifted>>y == x {
			return shifted, nil
		}
		return nil, errOverflow
	}
}

func bitnot(_ *budget, args []any) (any, error) {
	if x, ok := args[0].(int); ok {
		return ^x, nil
	}
	return nil, unusable("bitnot", args[0])
}
