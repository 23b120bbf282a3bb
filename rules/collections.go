package rules

import (
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// now and date are the clock and the calendar.
func now(b *budget, args []any) (any, error) {
	t := time.Now()
	if b.run != nil {
		t = b.run.call.now()
	}
	if len(args) == 0 {
		return t, nil
	}
	zone, ok := args[0].(*time.Location)
	if !ok {
		return nil, unusable("now", args[0])
	}
	return t.In(zone), nil
}

// dateLayouts are the ones that expr tries.
var dateLayouts = []string{
	"2006-01-02", "15:04:05", "2006-01-02 15:04:05", time.RFC3339, time.RFC822, time.RFC850, time.RFC1123,
}

func date(b *budget, args []any) (any, error) {
	zone := time.UTC
	for i := 0; len(args) > 0; i++ {
		z, ok := args[0].(*time.Location)
		if !ok {
			break
		}
		if args = args[1:]; i == 0 {
			zone = z
		}
	}
	s, err := texts(b, "date", args)
	if err != nil {
		return nil, err
	}
	if len(s) == 0 || len(s) > 2 {
		return nil, failf("date takes a string, and a layout if need be")
	}
	layouts := dateLayouts
	if len(s) == 2 {
		layouts = s[1:]
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s[0], zone); err == nil {
			return t, nil
		}
	}
	return nil, failf("date cannot be used here: the string is not a date")
}

func duration(b *budget, args []any) (any, error) {
	s, err := texts(b, "duration", args)
	if err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(s[0])
	if err != nil {
		return nil, failf("duration cannot be used here: the string is not a duration such as 1h30m")
	}
	return d, nil
}

// numbers calls do with every number in the arguments and in lists among them.
func numbers(b *budget, name string, args []any, depth int, do func(any) error) error {
	if depth > maxDepth {
		return failf("lists are nested too deeply for %s", name)
	}
	for _, arg := range args {
		if err := b.charge(1); err != nil {
			return err
		}
		if n, ok := length(arg); ok {
			for i := range n {
				if err := numbers(b, name, []any{element(arg, i)}, depth+1, do); err != nil {
					return err
				}
			}
			continue
		}
		switch v := plain(arg).(type) {
		case int, float64, time.Duration:
			if err := do(v); err != nil {
				return err
			}
		default:
			return unusable(name, arg)
		}
	}
	return nil
}

func total(b *budget, name string, args []any) (sum any, n int, err error) {
	err = numbers(b, name, args, 0, func(v any) error {
		if n++; n == 1 {
			sum = v
			return nil
		}
		var err error
		sum, err = add(b, []any{sum, v})
		return err
	})
	if n == 0 {
		sum = 0
	}
	return sum, n, err
}

func sum(b *budget, args []any) (any, error) {
	if _, ok := length(args[0]); !ok {
		return nil, unusable("sum", args[0])
	}
	s, _, err := total(b, "sum", args)
	return s, err
}

// extreme is max for sign 1 and min for -1. Of no numbers it is nil.
func extreme(name string, sign int) function {
	return func(b *budget, args []any) (any, error) {
		var found any
		err := numbers(b, name, args, 0, func(v any) error {
			if found == nil {
				found = v
				return nil
			}
			c, err := compare(b, name, v, found)
			if err == nil && c*sign > 0 {
				found = v
			}
			return err
		})
		return found, err
	}
}

func mean(b *budget, args []any) (any, error) {
	s, n, err := total(b, "mean", args)
	if err != nil || n == 0 {
		return 0.0, err
	}
	return divide(b, []any{s, n})
}

func median(b *budget, args []any) (any, error) {
	var list []any
	err := numbers(b, "median", args, 0, func(v any) error {
		list = append(list, v)
		return b.list(1)
	})
	if err != nil || len(list) == 0 {
		return 0.0, err
	}
	if err := sortBounded(b, list, "median", func(v any) any { return v }); err != nil {
		return nil, err
	}
	middle := list[(len(list)-1)/2 : len(list)/2+1]
	return mean(b, middle)
}

func first(_ *budget, args []any) (any, error) { return at(args[0], "first", 0) }
func last(_ *budget, args []any) (any, error)  { return at(args[0], "last", -1) }

// lastTrue is the index of the last element that is true, or nil.
func lastTrue(_ *budget, args []any) (any, error) {
	var found any
	for i, v := range args[0].([]any) {
		is, ok := v.(bool)
		if !ok {
			return nil, failf("the condition of findLastIndex is %s, not true or false", typeName(v))
		}
		if is {
			found = i
		}
	}
	return found, nil
}

// at is an element counted from the start or, if i is negative, from the end;
// nil where there is none.
func at(v any, name string, i int) (any, error) {
	n, ok := length(v)
	if !ok {
		return nil, unusable(name, v)
	}
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return nil, nil
	}
	return element(v, i), nil
}

func get(_ *budget, args []any) (any, error) {
	switch from := args[0].(type) {
	case nil:
		return nil, nil
	case map[string]any:
		if name, ok := args[1].(string); ok {
			return from[name], nil
		}
		return nil, mismatch("get", args[0], args[1])
	}
	if i, ok := args[1].(int); ok {
		return at(args[0], "get", i)
	}
	return nil, mismatch("get", args[0], args[1])
}

// elements copies a list.
func elements(b *budget, name string, v any) ([]any, error) {
	n, ok := length(v)
	if !ok {
		return nil, unusable(name, v)
	}
	if err := b.list(n); err != nil {
		return nil, err
	}
	return appendElements(make([]any, 0, n), v), nil
}

func take(b *budget, args []any) (any, error) {
	list, err := elements(b, "take", args[0])
	if err != nil {
		return nil, err
	}
	n, ok := args[1].(int)
	if !ok || n < 0 {
		return nil, failf("take cannot be used here: the count has to be an integer of zero or more")
	}
	return list[:min(n, len(list))], nil
}

func reverse(b *budget, args []any) (any, error) {
	list, err := elements(b, "reverse", args[0])
	slices.Reverse(list)
	return list, err
}

func uniq(b *budget, args []any) (any, error) {
	list, err := elements(b, "uniq", args[0])
	if err != nil {
		return nil, err
	}
	kept := []any{}
	for _, v := range list {
		known := false
		for _, k := range kept {
			if known, err = equal(b, v, k, 0); err != nil {
				return nil, err
			} else if known {
				break
			}
		}
		if !known {
			kept = append(kept, v)
		}
	}
	return kept, nil
}

func concat(b *budget, args []any) (any, error) {
	out := []any{}
	for _, arg := range args {
		list, err := elements(b, "concat", arg)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func flatten(b *budget, args []any) (any, error) {
	if _, ok := length(args[0]); !ok {
		return nil, unusable("flatten", args[0])
	}
	out := []any{}
	var walk func(v any, depth int) error
	walk = func(v any, depth int) error {
		n, ok := length(v)
		if !ok {
			out = append(out, v)
			return b.list(1)
		}
		if depth > maxDepth {
			return failf("lists are nested too deeply for flatten")
		}
		if err := b.charge(1); err != nil {
			return err
		}
		for i := range n {
			if err := walk(element(v, i), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk(args[0], 0)
}

// sortBounded sorts in place, keeping equal elements in their order.
func sortBounded(b *budget, list []any, name string, key func(any) any) error {
	if err := b.charge(len(list) * bits.Len(uint(len(list)))); err != nil {
		return err
	}
	var failed error
	if len(list) == 1 { // which is compared with nothing, but has to be comparable
		_, failed = compare(b, name, key(list[0]), key(list[0]))
	}
	slices.SortStableFunc(list, func(x, y any) int {
		if failed != nil {
			return 0
		}
		c, err := compare(b, name, key(x), key(y))
		failed = err
		return c
	})
	return failed
}

// ordered sorts in the order that the optional argument of sort and sortBy names.
func ordered(b *budget, list []any, name string, order []any, key func(any) any) (any, error) {
	descending := false
	if len(order) > 0 {
		switch order[0] {
		case "asc":
		case "desc":
			descending = true
		default:
			return nil, failf(`the order of %s is "asc" or "desc"`, name)
		}
	}
	err := sortBounded(b, list, name, key)
	if descending {
		slices.Reverse(list)
	}
	return list, err
}

func sortList(b *budget, args []any) (any, error) {
	list, err := elements(b, "sort", args[0])
	if err != nil {
		return nil, err
	}
	return ordered(b, list, "sort", args[1:], func(v any) any { return v })
}

// sortBy gets a list of [element, key].
func sortBy(b *budget, args []any) (any, error) {
	pairs := args[0].([]any)
	if _, err := ordered(b, pairs, "sortBy", args[1:], func(v any) any { return v.([]any)[1] }); err != nil {
		return nil, err
	}
	out := make([]any, len(pairs))
	for i, p := range pairs {
		out[i] = p.([]any)[0]
	}
	return out, b.list(len(out))
}

// groupBy gets a list of [element, key]. Keys are strings, integers or booleans;
// the last two go by their spelling.
func groupBy(b *budget, args []any) (any, error) {
	groups := map[string]any{}
	for _, p := range args[0].([]any) {
		pair := p.([]any)
		name, err := groupName(b, pair[1])
		if err != nil {
			return nil, err
		}
		if err := b.list(4); err != nil {
			return nil, err
		}
		group, _ := groups[name].([]any)
		groups[name] = append(group, pair[0])
	}
	return groups, nil
}

func groupName(b *budget, v any) (string, error) {
	switch v := plain(v).(type) {
	case string:
		return v, nil
	case int, bool:
		s, err := stringOf(b, []any{v})
		if err != nil {
			return "", err
		}
		return s.(string), nil
	}
	return "", unusable("groupBy", v)
}

// names are the names of an object in a fixed order: expr's own is random.
func names(b *budget, function string, v any) (map[string]any, []string, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, nil, unusable(function, v)
	}
	if err := b.list(len(object) * bits.Len(uint(len(object)))); err != nil {
		return nil, nil, err
	}
	return object, slices.SortedFunc(maps.Keys(object), strings.Compare), nil
}

func keys(b *budget, args []any) (any, error) {
	_, sorted, err := names(b, "keys", args[0])
	return appendElements([]any{}, sorted), err
}

func values(b *budget, args []any) (any, error) {
	object, sorted, err := names(b, "values", args[0])
	out := make([]any, len(sorted))
	for i, name := range sorted {
		out[i] = object[name]
	}
	return out, err
}

func toPairs(b *budget, args []any) (any, error) {
	object, sorted, err := names(b, "toPairs", args[0])
	if err == nil {
		err = b.list(4 * len(sorted))
	}
	if err != nil {
		return nil, err
	}
	out := make([]any, len(sorted))
	for i, name := range sorted {
		out[i] = []any{name, object[name]}
	}
	return out, nil
}

func fromPairs(b *budget, args []any) (any, error) {
	list, err := elements(b, "fromPairs", args[0])
	if err == nil {
		err = b.list(4 * len(list))
	}
	if err != nil {
		return nil, err
	}
	object := make(map[string]any, len(list))
	for _, pair := range list {
		n, ok := length(pair)
		if !ok || n != 2 {
			return nil, unusable("fromPairs", pair)
		}
		name, ok := element(pair, 0).(string)
		if !ok {
			return nil, unusable("fromPairs", element(pair, 0))
		}
		object[name] = element(pair, 1)
	}
	return object, nil
}

// toJSON prints as expr does: indented by two spaces, names in order.
func toJSON(b *budget, args []any) (any, error) {
	if err := printable(b, args[0], 0); err != nil {
		return nil, err
	}
	out, err := json.Marshal(args[0], json.Deterministic(true), jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, failf("toJSON cannot be used here")
	}
	return string(out), nil
}

// printable charges for what a value takes in JSON.
func printable(b *budget, v any, depth int) error {
	if depth > maxDepth {
		return failf("values are nested too deeply for toJSON")
	}
	if err := b.grow(32 + 2*depth); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil, bool, int, float64, time.Time:
		return nil
	case string:
		return b.grow(6 * len(v)) // as if every byte were escaped
	case map[string]any:
		for name, w := range v {
			if err := b.grow(6 * len(name)); err != nil {
				return err
			}
			if err := printable(b, w, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	n, ok := length(v)
	if !ok {
		return unusable("toJSON", v)
	}
	for i := range n {
		if err := printable(b, element(v, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func fromJSON(b *budget, args []any) (any, error) {
	s, err := texts(b, "fromJSON", args)
	if err != nil {
		return nil, err
	}
	if err := b.grow(len(s[0])); err != nil {
		return nil, err
	}
	if err := b.charge(len(s[0])); err != nil {
		return nil, err
	}
	left := fullRoom
	v, err := decodeJSON([]byte(s[0]), &left)
	if err == errTooLarge {
		return nil, failf("fromJSON: the string holds too many values")
	}
	if err != nil {
		return nil, failf("fromJSON cannot be used here: the string is not JSON")
	}
	return v, nil
}
