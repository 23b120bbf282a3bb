package rules

import (
	"maps"
	"slices"
)

// Bounds of the work on one schema. Schemas come from servers, which may be hostile.
const (
	maxTypeWork   = 100_000 // members, elements and constants that are looked at
	maxTypeDepth  = 64      // of schemas that are applied to the same value
	maxConstants  = 5_000   // of one enumeration; more are not told apart
	maxSchemaSize = 4 << 20 // in bytes
)

// A meter is what is left of the work on one schema. Once it is used up every
// type that has still to be found is one of which nothing is known.
type meter struct{ left int }

func (m *meter) spend(n int) bool {
	if n++; n > m.left {
		m.left = 0
		return false
	}
	m.left -= n
	return true
}

// join is the type of a value of which it is not known which of the two it is.
func (m *meter) join(a, b *typ) *typ {
	switch {
	case a == b || b.empty():
		return a
	case a.empty():
		return b
	case !m.spend(len(a.consts) + len(b.consts)):
		return unknown(kindAll)
	}
	t := ofKinds(a.sure | b.sure)
	t.vague = (a.vague | b.vague) &^ t.sure
	t.quiet = (a.quiet || a.vague == 0) && (b.quiet || b.vague == 0)
	t.consts = joinConsts(a, b)

	n := [2]bool{a.can()&kindNumber != 0, b.can()&kindNumber != 0}
	switch {
	case !n[1]:
		t.min, t.above, t.max, t.below = a.min, a.above, a.max, a.below
	case !n[0]:
		t.min, t.above, t.max, t.below = b.min, b.above, b.max, b.below
	default:
		t.min, t.max = min(a.min, b.min), max(a.max, b.max)
		t.above = (a.above || a.min != t.min) && (b.above || b.min != t.min)
		t.below = (a.below || a.max != t.max) && (b.below || b.max != t.max)
	}
	switch {
	case b.can()&kindString == 0:
		t.minLen, t.maxLen, t.patterns = a.minLen, a.maxLen, a.patterns
	case a.can()&kindString == 0:
		t.minLen, t.maxLen, t.patterns = b.minLen, b.maxLen, b.patterns
	default:
		t.minLen, t.maxLen = min(a.minLen, b.minLen), max(a.maxLen, b.maxLen)
	}
	switch {
	case b.can()&kindList == 0:
		t.elem, t.minItems, t.maxItems = a.elem, a.minItems, a.maxItems
	case a.can()&kindList == 0:
		t.elem, t.minItems, t.maxItems = b.elem, b.minItems, b.maxItems
	default:
		t.minItems, t.maxItems = min(a.minItems, b.minItems), max(a.maxItems, b.maxItems)
		t.elem = lazy(func() *typ { return m.join(m.elementOf(a), m.elementOf(b)) })
	}
	switch {
	case b.can()&kindObject == 0:
		t.object = a.object
	case a.can()&kindObject == 0:
		t.object = b.object
	case a.object != nil || b.object != nil:
		t.object = m.joinObjects(orAnyObject(a.object), orAnyObject(b.object))
	}
	return t
}

// elementOf is the type of the elements of a list that may have none.
func (m *meter) elementOf(t *typ) *typ {
	if t.maxItems == 0 {
		return nothing()
	}
	return t.element()
}

func joinConsts(a, b *typ) []any {
	switch {
	case b.can()&kindScalar == 0:
		return a.consts
	case a.can()&kindScalar == 0:
		return b.consts
	case a.consts == nil || b.consts == nil || len(a.consts)+len(b.consts) > maxConstants:
		return nil
	}
	out := slices.Clone(a.consts)
	for _, v := range b.consts {
		if len(out) > 64 || !slices.Contains(a.consts, v) { // a few doubles do no harm
			out = append(out, v)
		}
	}
	return out
}

// anyObject is one of which nothing is said.
var anyObject = &objectType{rest: undeclared}

func orAnyObject(o *objectType) *objectType {
	if o == nil {
		return anyObject
	}
	return o
}

func (m *meter) joinObjects(a, b *objectType) *objectType {
	if a == b {
		return a
	}
	o := &objectType{fields: map[string]field{}, declares: a.declares || b.declares, open: a.open || b.open}
	if a.name == b.name {
		o.name, o.methods = a.name, a.methods
	}
	if !m.spend(len(a.fields) + len(b.fields)) {
		return nil
	}
	for _, object := range []*objectType{a, b} {
		for name := range object.fields {
			if _, ok := o.fields[name]; ok {
				continue
			}
			x, y := a.member(name), b.member(name)
			o.fields[name] = field{
				required: x.required && y.required,
				typ:      lazy(func() *typ { return m.join(x.typ(), y.typ()) }),
			}
		}
	}
	o.patterns = slices.Concat(a.patterns, b.patterns)
	for i, p := range o.patterns { // what the other object says of such names is not looked at
		o.patterns[i] = patternField{re: p.re, typ: undeclared}
	}
	switch {
	case a.rest == nil:
		o.rest = b.rest
	case b.rest == nil:
		o.rest = a.rest
	default:
		o.rest = lazy(func() *typ { return m.join(a.rest(), b.rest()) })
	}
	return o
}

// declared reports whether the schema speaks of a member.
func (o *objectType) declared(name string) bool {
	_, ok := o.fields[name]
	return ok || slices.ContainsFunc(o.patterns, func(p patternField) bool { return p.re == nil || p.re.MatchString(name) })
}

// member is what is known of a member, as a field that may be one that never is there.
func (o *objectType) member(name string) field {
	if f, ok := o.fields[name]; ok {
		return f
	}
	for _, p := range o.patterns {
		if p.re == nil || p.re.MatchString(name) {
			return field{typ: p.typ}
		}
	}
	if o.rest != nil {
		return field{typ: o.rest}
	}
	return field{typ: nothing}
}

// meet is the type of a value that is of both.
func (m *meter) meet(a, b *typ) *typ {
	if a == b {
		return a
	}
	if !m.spend(len(a.consts) + len(b.consts)) {
		return unknown(kindAll)
	}
	both := a.can() & b.can()
	t := ofKinds(both & (a.sure | b.sure))
	t.vague = both &^ t.sure
	t.quiet = a.quiet && b.quiet
	t.min, t.above = a.min, a.above
	if b.min > t.min || b.min == t.min && b.above {
		t.min, t.above = b.min, b.above
	}
	t.max, t.below = a.max, a.below
	if b.max < t.max || b.max == t.max && b.below {
		t.max, t.below = b.max, b.below
	}
	t.minLen, t.maxLen = max(a.minLen, b.minLen), min(a.maxLen, b.maxLen)
	t.patterns = slices.Concat(a.patterns, b.patterns)
	t.minItems, t.maxItems = max(a.minItems, b.minItems), min(a.maxItems, b.maxItems)
	switch {
	case a.elem == nil:
		t.elem = b.elem
	case b.elem == nil:
		t.elem = a.elem
	default:
		t.elem = lazy(func() *typ { return m.meet(a.elem(), b.elem()) })
	}
	switch {
	case a.object == nil:
		t.object = b.object
	case b.object == nil:
		t.object = a.object
	default:
		t.object = m.meetObjects(a.object, b.object)
	}
	switch {
	case a.consts == nil:
		t.consts = b.consts
	case b.consts == nil:
		t.consts = a.consts
	case !m.spend(len(a.consts) * len(b.consts)):
		t.consts = a.consts
	default:
		t.consts = slices.DeleteFunc(slices.Clone(a.consts), func(v any) bool {
			return !slices.ContainsFunc(b.consts, func(w any) bool { return sameConstant(v, w) })
		})
	}
	// An integer is a number too: the constants of one side may be of the other kind.
	if t.consts != nil {
		t.consts = slices.DeleteFunc(slices.Clone(t.consts), func(v any) bool { return !a.has(v) || !b.has(v) })
	}
	return t.trim()
}

func (m *meter) meetObjects(a, b *objectType) *objectType {
	if a == b || !m.spend(len(a.fields)+len(b.fields)) {
		return a
	}
	o := &objectType{fields: maps.Clone(a.fields), declares: a.declares || b.declares, open: a.open || b.open}
	if o.fields == nil {
		o.fields = map[string]field{}
	}
	for _, object := range []*objectType{a, b} {
		for name := range object.fields {
			x, y := a.member(name), b.member(name)
			o.fields[name] = field{
				required: x.required || y.required,
				typ:      lazy(func() *typ { return m.meet(x.typ(), y.typ()) }),
			}
		}
	}
	o.patterns = slices.Concat(a.patterns, b.patterns)
	if a.rest != nil && b.rest != nil {
		o.rest = lazy(func() *typ { return m.meet(a.rest(), b.rest()) })
	}
	return o
}

// lazy finds a type when it is first asked for: schemas may be recursive, and
// most of what they say is never asked for.
func lazy(find func() *typ) func() *typ {
	var found *typ
	return func() *typ {
		if found == nil {
			found = unknown(kindAll) // if it is asked for while it is being found
			found = find()
		}
		return found
	}
}
