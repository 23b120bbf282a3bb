package rules

import (
	"math"
	"regexp"
	"slices"
	"strings"
)

// kinds is a set of the kinds that a value can be of.
type kinds uint16

const (
	kindMissing kinds = 1 << iota // not there, which reads as nil
	kindNull                      // there, and null
	kindBool
	kindInt
	kindFloat // a number that is not whole
	kindString
	kindList
	kindObject
	kindTime
	kindDuration
	kindZone

	kindNil    = kindMissing | kindNull
	kindNumber = kindInt | kindFloat
	kindScalar = kindBool | kindNumber | kindString // what constants are of
	kindJSON   = kindNull | kindScalar | kindList | kindObject
	kindAll    = kindMissing | kindJSON | kindTime | kindDuration | kindZone
)

// A typ is the set of values that something can have, or a larger one: what it
// leaves out cannot be. It never changes. Kinds are sure where a schema speaks
// of them; they are vague where it says nothing, so that a use which fails on
// one of them is worth a warning at most.
type typ struct {
	sure, vague kinds
	quiet       bool // the vagueness was reported, or lies in the nature of the value
	blamed      bool // that it cannot be used was reported

	consts   []any   // the only scalars that it can be: string, int, float64 or bool; nil: any
	min, max float64 // of numbers, both included; infinite where unbounded
	// below and above exclude min and max themselves.
	above, below   bool
	minLen, maxLen int // of strings, in code points
	patterns       []*regexp.Regexp

	elem               func() *typ // of lists; nil: nothing is known
	minItems, maxItems int
	object             *objectType // of objects; nil: nothing is known
}

// An objectType is what is known of an object's members.
type objectType struct {
	name     string // of an object that this program makes: "url"; empty for JSON
	fields   map[string]field
	patterns []patternField
	rest     func() *typ // of members that are not declared; nil: there are none
	open     bool        // the schema says that there may be others, and not only by silence
	// declares says that the schema lists names, so that others deserve a word.
	declares bool
	methods  map[string]signature
}

type field struct {
	typ      func() *typ
	required bool
}

type patternField struct {
	re  *regexp.Regexp // nil: it cannot be read, and might match anything
	typ func() *typ
}

func ofKinds(sure kinds) *typ {
	return &typ{sure: sure, min: math.Inf(-1), max: math.Inf(1), maxLen: math.MaxInt, maxItems: math.MaxInt}
}

// unknown is what nothing is known of, for which nobody is to blame.
func unknown(vague kinds) *typ {
	t := ofKinds(0)
	t.vague, t.quiet = vague, true
	return t
}

func undeclared() *typ {
	t := ofKinds(0)
	t.vague = kindJSON
	return t
}

func constant(v any) *typ {
	t := ofKinds(kindOf(v))
	t.consts = []any{v}
	return t
}

func listOf(elem *typ) *typ {
	t := ofKinds(kindList)
	t.elem = func() *typ { return elem }
	return t
}

func nothing() *typ { return ofKinds(0) }

func kindOf(v any) kinds {
	switch v.(type) {
	case nil:
		return kindNull
	case bool:
		return kindBool
	case int:
		return kindInt
	case float64:
		return kindFloat
	case string:
		return kindString
	case []any:
		return kindList
	case map[string]any:
		return kindObject
	}
	return 0
}

// can is every kind that the value might be of.
func (t *typ) can() kinds { return t.sure | t.vague }

// empty says that there is no such value.
func (t *typ) empty() bool {
	return t.can() == 0 || t.consts != nil && len(t.consts) == 0 && t.can()&^kindScalar == 0
}

// belowZero reports whether the value can be a number below zero.
func (t *typ) belowZero() bool {
	if t.can()&kindNumber == 0 || t.min >= 0 {
		return false
	}
	return t.consts == nil || slices.ContainsFunc(t.consts, func(v any) bool {
		f, ok, _ := toFloat(v)
		return ok && f < 0
	})
}

// only restricts the value to some kinds.
func (t *typ) only(k kinds) *typ {
	if t.can()&^k == 0 {
		return t
	}
	u := *t
	u.sure &= k
	u.vague &= k
	if u.consts != nil {
		u.consts = slices.DeleteFunc(slices.Clone(u.consts), func(v any) bool { return kindOf(v)&k == 0 })
	}
	return u.trim()
}

// trim takes out kinds of which no constant is left.
func (t *typ) trim() *typ {
	if t.consts == nil {
		return t
	}
	var have kinds
	for _, v := range t.consts {
		have |= kindOf(v)
	}
	t.sure &^= kindScalar &^ have
	t.vague &^= kindScalar &^ have
	return t
}

// with adds kinds of which nothing more is known than that they are there.
func (t *typ) with(k kinds) *typ {
	if t.sure&k == k {
		return t
	}
	u := *t
	u.sure |= k
	u.vague &^= k
	return &u
}

// where keeps the constants for which keep is true, if there are constants.
func (t *typ) where(keep func(any) bool) *typ {
	if t.consts == nil {
		return t
	}
	u := *t
	u.consts = slices.DeleteFunc(slices.Clone(t.consts), func(v any) bool { return !keep(v) })
	return u.trim()
}

// loose forgets which values of its kinds it is.
func (t *typ) loose() *typ {
	u := ofKinds(t.sure)
	u.vague, u.quiet, u.elem, u.object = t.vague, t.quiet, t.elem, t.object
	if u.sure&kindNumber != 0 {
		u.sure |= kindNumber
	}
	return u
}

// element is the type of the elements of a list.
func (t *typ) element() *typ {
	if t.elem != nil {
		return t.elem()
	}
	u := undeclared()
	u.quiet = t.quiet
	return u
}

// hasNumber reports whether the range holds the number.
func (t *typ) hasNumber(f float64) bool {
	return !(f < t.min || f > t.max || f == t.min && t.above || f == t.max && t.below)
}

// has reports whether a constant may be a value of the type.
func (t *typ) has(v any) bool {
	k := kindOf(v)
	if k&kindNumber != 0 && t.can()&kindNumber == 0 || k&kindNumber == 0 && t.can()&k == 0 {
		return false
	}
	if t.consts != nil && k&kindScalar != 0 && !slices.ContainsFunc(t.consts, func(w any) bool { return sameConstant(v, w) }) {
		return false
	}
	switch v := v.(type) {
	case int:
		return t.hasNumber(float64(v)) || v > exactFloat || v < -exactFloat
	case float64:
		return t.can()&kindFloat != 0 && t.hasNumber(v) || v == math.Trunc(v) && t.hasNumber(v)
	case string:
		n := 0
		for range v {
			n++
		}
		if n < t.minLen || n > t.maxLen {
			return false
		}
		return !slices.ContainsFunc(t.patterns, func(re *regexp.Regexp) bool { return !re.MatchString(v) })
	}
	return true
}

// sameConstant compares as == does.
func sameConstant(v, w any) bool {
	if v == w {
		return true
	}
	f, ok, _ := toFloat(v)
	g, both, _ := toFloat(w)
	return ok && both && f == g
}

// overlaps reports whether two values of the types may be equal.
func overlaps(a, b *typ) bool {
	if a.consts != nil && b.consts == nil {
		a, b = b, a
	}
	x, y := a.can(), b.can()
	if x&kindNil != 0 && y&kindNil != 0 {
		return true
	}
	x, y = groups(x&^kindNil), groups(y&^kindNil)
	common := x & y
	if common&^kindScalar != 0 {
		return true
	}
	if common == 0 {
		return false
	}
	if b.consts != nil {
		return slices.ContainsFunc(b.consts, a.has)
	}
	if common == kindNumber {
		return a.min <= b.max && b.min <= a.max
	}
	return true
}

// groups widens either kind of number to both: they compare with each other.
func groups(k kinds) kinds {
	if k&kindNumber != 0 {
		k |= kindNumber
	}
	return k
}

var kindNames = []struct {
	kinds
	name string
}{
	{kindBool, "true or false"}, {kindNumber, "a number"}, {kindInt, "an integer"}, {kindFloat, "a fraction"}, {kindString, "a string"},
	{kindList, "a list"}, {kindObject, "an object"}, {kindTime, "a time"}, {kindDuration, "a duration"},
	{kindZone, "a time zone"}, {kindNull, "null"}, {kindMissing, "missing"},
}

// describe names kinds for a person.
func describe(k kinds) string {
	var names []string
	for _, n := range kindNames {
		if k&n.kinds == n.kinds {
			names = append(names, n.name)
			k &^= n.kinds
		}
	}
	switch n := len(names); n {
	case 0:
		return "nothing"
	case 1, 2:
		return strings.Join(names, " or ")
	default:
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
}
