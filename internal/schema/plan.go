package schema

import (
	"bytes"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// A plan judges a value where it stands in its JSON, without decoding it. It
// knows the keywords that nearly all tools are described with, and it only ever
// says that a value surely is valid: whatever it does not know, and whatever may
// be wrong, is left to the validator, which decides and says why. A fuzz test
// holds that a plan accepts nothing that the validator does not.
type plan struct {
	types kinds // that may be accepted
	known kinds // of these, the ones that this can judge

	// What one evaluation is charged, as the meter does: the names or elements
	// count each, and a string counts times its length.
	here, each, times int

	// Of objects.
	names            []property
	byName           map[string]int // indexes of names, where these are many
	additional       *plan          // nil if other names are not allowed
	open             bool           // other names are declared too
	required         int            // how many of the names are
	minProps, maxLen int            // maxLen bounds the members or elements
	items            *plan
	minItems         int

	// Of strings.
	enum               []string // nil if it is not limited
	pattern            *linear
	minChars, maxChars int // maxChars is negative if it is not limited

	// Of integers; other numbers are not known if these are limited.
	bounded  bool
	min, max int64

	alternatives []*plan // of which exactly one takes a kind of value
	opaque       bool    // nothing is known
}

type property struct {
	name     []byte
	plan     *plan
	required bool
}

type kinds uint8

const (
	aString kinds = 1 << iota
	anObject
	aList
	aBool
	aNull
	anInteger
	aFraction       // any other number, though it may be whole
	anyKind   kinds = 1<<iota - 1
)

var kindNames = map[string]kinds{"string": aString, "object": anObject, "array": aList, "boolean": aBool, "null": aNull,
	"integer": anInteger, "number": anInteger | aFraction}

const (
	unlimited   = int(^uint(0) >> 1)
	maxBound    = 1 << 60
	manyNames   = 8
	maxSiblings = 16 // names of one object that are not declared
	maxWalk     = 8  // levels of an instance; each is read again for the one above
)

func newPlan() *plan {
	return &plan{types: anyKind, known: anyKind, maxLen: unlimited, maxChars: -1}
}

var (
	anyPlan    = newAnyPlan()        // of the schema true, which declares no name
	freePlan   = newFreePlan()       // where there is no schema
	opaquePlan = &plan{opaque: true} // knows nothing
)

func newAnyPlan() *plan {
	p := newPlan()
	p.additional, p.items = p, p
	return p
}

func newFreePlan() *plan {
	p := newPlan()
	p.additional, p.items, p.open = anyPlan, anyPlan, true
	return p
}

// A planner makes the plans of the schemas below one.
type planner map[*jsonschema.Schema]*plan

// planned are the fields of a schema that a plan knows, and whether they limit
// a value. A schema with any other is opaque.
var planned = map[string]bool{
	"DraftVersion": false, "Location": false, "ID": false, "Anchor": false, "Format": false, "Title": false, "Description": false,
	"Default": false, "Comment": false, "ReadOnly": false, "WriteOnly": false, "Examples": false, "Deprecated": false,

	"Ref": true, "Types": true, "Enum": true, "Const": true, "AnyOf": true, "OneOf": true,
	"MaxProperties": true, "MinProperties": true, "Required": true, "Properties": true, "AdditionalProperties": true,
	"MinItems": true, "MaxItems": true, "Items": true, "Items2020": true,
	"MinLength": true, "MaxLength": true, "Pattern": true,
	"Maximum": true, "Minimum": true, "ExclusiveMaximum": true, "ExclusiveMinimum": true,
}

// plan returns the plan of a schema whose meter is attached.
func (r planner) plan(s *jsonschema.Schema) *plan {
	if p, ok := r[s]; ok {
		return p
	}
	r[s] = opaquePlan // for a schema that comes back to itself
	p := r.build(s)
	if p == nil {
		p = opaquePlan
	}
	r[s] = p
	return p
}

func (r planner) build(s *jsonschema.Schema) *plan {
	if s.Bool != nil {
		if *s.Bool {
			return anyPlan
		}
		return nil
	}
	v := reflect.ValueOf(s).Elem()
	constrained := 0
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || v.Field(i).IsZero() {
			continue
		}
		limits, known := planned[field.Name]
		if !known {
			return nil
		}
		if limits {
			constrained++
		}
	}
	p := newPlan()
	p.here, p.each = weights(s)
	p.times = 1
	if s.Ref != nil || s.AnyOf != nil || s.OneOf != nil {
		if constrained != 1 { // with anything beside it
			return nil
		}
		if s.Ref != nil {
			return r.reference(p, r.plan(s.Ref))
		}
		return r.choice(p, append(slices.Clone(s.AnyOf), s.OneOf...))
	}
	if s.Types != nil && !s.Types.IsEmpty() {
		p.types = 0
		for _, name := range s.Types.ToStrings() {
			p.types |= kindNames[name]
		}
	}
	if (s.Enum != nil || s.Const != nil) && !p.texts(s) {
		return nil
	}
	if !r.object(p, s) || !r.list(p, s) {
		return nil
	}
	p.text(s)
	p.number(s)
	return p
}

// reference is the plan of what is referred to, charged for the reference too.
func (planner) reference(p, target *plan) *plan {
	if target.opaque {
		return nil
	}
	both := *target
	both.here += p.here
	both.each += p.each
	both.times += p.times
	return &both
}

// choice takes alternatives that are told apart by the kind of the value. What
// they say of names is judged together by FoldClash, so only one of them may say
// something, and only one of elements.
func (r planner) choice(p *plan, list []*jsonschema.Schema) *plan {
	objects, lists := 0, 0
	for _, s := range list {
		a := r.plan(s)
		if a.opaque || a.alternatives != nil {
			return nil
		}
		if len(a.names) > 0 || a.additional != anyPlan {
			if objects++; objects > 1 || a.types&anObject == 0 {
				return nil
			}
		}
		if a.items != anyPlan {
			if lists++; lists > 1 || a.types&aList == 0 {
				return nil
			}
		}
		p.alternatives = append(p.alternatives, a)
	}
	return p
}

func (r planner) object(p *plan, s *jsonschema.Schema) bool {
	p.additional = anyPlan
	switch additional := s.AdditionalProperties.(type) {
	case nil:
	case bool:
		if p.open = additional; !additional {
			p.additional = nil
		}
	case *jsonschema.Schema:
		if additional.Bool != nil && !*additional.Bool {
			p.additional = nil
			break
		}
		p.additional, p.open = r.plan(additional), true
	default:
		return false
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	folded := map[string]bool{}
	for _, name := range names {
		required := slices.Contains(s.Required, name)
		if required {
			p.required++
		}
		p.names = append(p.names, property{name: []byte(name), plan: r.plan(s.Properties[name]), required: required})
		folded[foldCase(name)] = true
	}
	for _, name := range s.Required {
		if s.Properties[name] == nil {
			return false
		}
	}
	if len(names) > manyNames {
		p.byName = make(map[string]int, len(names))
		for i, name := range names {
			p.byName[name] = i
		}
	}
	if s.MinProperties != nil {
		p.minProps = *s.MinProperties
	}
	if s.MaxProperties != nil {
		p.maxLen = *s.MaxProperties
	}
	return len(folded) == len(names) // else two that are declared may clash
}

func (r planner) list(p *plan, s *jsonschema.Schema) bool {
	p.items = anyPlan
	if s.Items2020 != nil {
		p.items = r.plan(s.Items2020)
	}
	if s.Items != nil {
		items, ok := s.Items.(*jsonschema.Schema)
		if !ok || s.DraftVersion >= 2020 || s.Items2020 != nil {
			return false
		}
		p.items = r.plan(items)
	}
	if s.Items2020 != nil && s.DraftVersion < 2020 {
		return false
	}
	if s.MinItems != nil {
		p.minItems = *s.MinItems
	}
	if s.MaxItems != nil {
		if s.MaxProperties != nil {
			return false
		}
		p.maxLen = *s.MaxItems
	}
	return true
}

// texts takes enum and const of strings, which limit the value to strings.
func (p *plan) texts(s *jsonschema.Schema) bool {
	var all []any
	if s.Enum != nil {
		all = s.Enum.Values
	}
	if s.Const != nil {
		if all != nil {
			return false
		}
		all = []any{*s.Const}
	}
	p.enum = []string{}
	for _, v := range all {
		if text, ok := v.(string); ok {
			p.enum = append(p.enum, text)
		}
	}
	p.known &= aString
	return true
}

func (p *plan) text(s *jsonschema.Schema) {
	if s.MinLength != nil {
		p.minChars = *s.MinLength
	}
	if s.MaxLength != nil {
		p.maxChars = *s.MaxLength
	}
	if s.Pattern != nil {
		var ok bool
		if p.pattern, ok = s.Pattern.(*linear); !ok {
			p.known &^= aString
		}
	}
}

func (p *plan) number(s *jsonschema.Schema) {
	p.min, p.max = -maxBound, maxBound
	for _, bound := range []struct {
		at    *big.Rat
		least bool
		by    int64
	}{{s.Minimum, true, 0}, {s.ExclusiveMinimum, true, 1}, {s.Maximum, false, 0}, {s.ExclusiveMaximum, false, -1}} {
		if bound.at == nil {
			continue
		}
		p.bounded = true
		n := bound.at.Num()
		if !bound.at.IsInt() || n.CmpAbs(big.NewInt(maxBound)) >= 0 {
			p.known &^= anInteger | aFraction
			return
		}
		if v := n.Int64() + bound.by; bound.least {
			p.min = max(p.min, v)
		} else {
			p.max = min(p.max, v)
		}
	}
}

// A walk holds one value against a plan.
type walk struct {
	raw   []byte
	steps int
	names bool // clashes and names that are not declared matter
	open  bool // at the top, names need not be declared
}

// surely reports whether a value is known to be valid and, if names is set, to
// have no clashing names and at its top only declared ones, or any if open is.
// False says nothing.
func (p *plan) surely(raw []byte, names, open bool) bool {
	// CheckValue would replace line ends, and these bytes are the caller's.
	return p != nil && oneLine(raw) && jsonrpc.CheckValue(raw, jsonrpc.Limits{}) == nil && p.accepts(raw, names, open)
}

func oneLine(raw []byte) bool {
	return bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0
}

// accepts is surely for a value of one line that is known to be JSON.
func (p *plan) accepts(raw []byte, names, open bool) bool {
	if p == nil || p.opaque || names && p.alternatives != nil {
		return false
	}
	w := walk{raw: raw, steps: allowance(len(raw)), names: names, open: open}
	start := len(raw) - len(bytes.TrimLeft(raw, " \t"))
	end := len(bytes.TrimRight(raw, " \t"))
	return w.accepts(p, jsonrpc.Span{Start: start, End: end}, 0)
}

func (w *walk) charge(steps int) bool {
	w.steps -= steps
	return w.steps >= 0
}

func (w *walk) accepts(p *plan, at jsonrpc.Span, depth int) bool {
	if depth > maxWalk || p.opaque {
		return false
	}
	text := w.raw[at.Start:at.End]
	is, ok := kindOf(text)
	if !ok {
		return false
	}
	if p.alternatives != nil {
		if !w.charge(p.here + p.each*len(text)/2 + p.times*len(text)/64) { // at most so many elements
			return false
		}
		if p = p.choose(is); p == nil {
			return false
		}
	}
	if p.types&p.known&is == 0 || depth == 0 && w.names && is != anObject {
		return false
	}
	switch is {
	case aString:
		return w.string(p, text[1:len(text)-1])
	case anObject:
		return w.object(p, at, depth)
	case aList:
		n := 0
		for item := range jsonrpc.Elements(w.raw, at) {
			if n++; !w.accepts(p.items, item, depth+1) {
				return false
			}
		}
		return p.minItems <= n && n <= p.maxLen && w.charge(p.here+n*p.each)
	case anInteger:
		if p.bounded {
			n, err := strconv.ParseInt(string(text), 10, 64)
			if err != nil || n < p.min || n > p.max || n <= -maxBound || n >= maxBound {
				return false
			}
		}
	case aFraction:
		if p.bounded {
			return false
		}
	}
	return w.charge(p.here)
}

// kindOf is false for numbers that are spelt or sized unusually.
func kindOf(text []byte) (kinds, bool) {
	switch text[0] {
	case '"':
		return aString, true
	case '{':
		return anObject, true
	case '[':
		return aList, true
	case 't', 'f':
		return aBool, true
	case 'n':
		return aNull, true
	}
	if len(text) > 64 {
		return 0, false
	}
	is := anInteger
	for _, c := range text {
		switch c {
		case '.':
			is = aFraction
		case 'e', 'E':
			return 0, false
		}
	}
	return is, true
}

// choose returns the one alternative that takes a kind of value, nil if there
// are several or it is not known. A fraction may be a whole number.
func (p *plan) choose(is kinds) *plan {
	var found *plan
	for _, a := range p.alternatives {
		if a.types&is == 0 && !(is == aFraction && a.types&anInteger != 0) {
			continue
		}
		if found != nil {
			return nil
		}
		found = a
	}
	return found
}

func (w *walk) string(p *plan, text []byte) bool {
	if p.enum != nil || p.pattern != nil || p.minChars > 0 || p.maxChars >= 0 {
		if bytes.IndexByte(text, '\\') >= 0 {
			return false
		}
		if p.enum != nil && !slices.ContainsFunc(p.enum, func(e string) bool { return e == string(text) }) {
			return false
		}
		if p.minChars > 0 || p.maxChars >= 0 {
			if n := utf8.RuneCount(text); n < p.minChars || p.maxChars >= 0 && n > p.maxChars {
				return false
			}
		}
		if p.pattern != nil && (!w.charge(p.pattern.cost(len(text))) || !p.pattern.Match(text)) {
			return false
		}
	}
	return w.charge(p.here + p.times*(len(text)/64))
}

func (w *walk) object(p *plan, at jsonrpc.Span, depth int) bool {
	n, required := 0, 0
	var few [maxSiblings][]byte
	others := few[:0]
	for quoted, value := range jsonrpc.Members(w.raw, at) {
		n++
		name := w.raw[quoted.Start+1 : quoted.End-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			return false
		}
		next := p.additional
		if declared := p.property(name); declared != nil {
			next = declared.plan
			if declared.required {
				required++
			}
		} else {
			if next == nil || depth == 0 && w.names && !w.open && !p.open {
				return false
			}
			if w.names && (depth == 0 || len(p.names) > 0 || !p.open) {
				if len(others) == maxSiblings || p.clashes(name, others) {
					return false
				}
				others = append(others, name)
			}
		}
		if !w.accepts(next, value, depth+1) {
			return false
		}
	}
	return required == p.required && p.minProps <= n && n <= p.maxLen && w.charge(p.here+n*p.each)
}

func (p *plan) property(name []byte) *property {
	if p.byName != nil {
		if i, ok := p.byName[string(name)]; ok {
			return &p.names[i]
		}
		return nil
	}
	for i := range p.names {
		if string(p.names[i].name) == string(name) {
			return &p.names[i]
		}
	}
	return nil
}

// clashes reports whether a name equals a declared one, or one of the others,
// under case folding.
func (p *plan) clashes(name []byte, others [][]byte) bool {
	if slices.ContainsFunc(others, func(o []byte) bool { return bytes.EqualFold(o, name) }) {
		return true
	}
	return slices.ContainsFunc(p.names, func(q property) bool { return bytes.EqualFold(q.name, name) })
}
