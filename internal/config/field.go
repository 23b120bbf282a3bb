package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/preset"
)

// kind is what a value looks like in the file.
type kind int

const (
	kindText          kind = iota // string
	kindNumber                    // int
	kindBool                      // bool
	kindChoice                    // string or bool: one word of an enum
	kindDuration                  // time.Duration
	kindSize                      // int64, in bytes
	kindTexts                     // []string
	kindTextMap                   // map[string]string
	kindArguments                 // Arguments
	kindDecimal                   // string: a positive number as written
	kindPeriod                    // Period
	kindLabel                     // []LabelPattern
	kindInputs                    // []Input: a mapping of name to JSON Schema
	kindInject                    // []Injection: a mapping of argument to text, or of tool pattern to such a mapping
	kindWordMap                   // map[string]string: a mapping of name to one word of an enum
	kindJSON                      // jsontext.Value: anything, as JSON
	kindSection                   // a struct or a pointer to one
	kindSections                  // []Rule and the like: a list of mappings
	kindNamedSections             // []Server: a mapping of name to mapping
)

// field describes one key, as the tags of its Go field do.
type field struct {
	key      string
	section  string // the Go type that declares it
	index    []int  // for reflect.Value.FieldByIndex
	kind     kind
	deflt    string
	enum     []string
	min, max string
	as       string
	check    string
	with     string
	required bool
	ref      bool
	secret   bool
	nonempty bool
	elem     reflect.Type // the struct of a section
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	argumentsType = reflect.TypeFor[Arguments]()
	periodType    = reflect.TypeFor[Period]()
	labelType     = reflect.TypeFor[[]LabelPattern]()
	inputsType    = reflect.TypeFor[[]Input]()
	injectType    = reflect.TypeFor[[]Injection]()
	jsonType      = reflect.TypeFor[jsontext.Value]()
	fieldCache    sync.Map // reflect.Type to []field
)

// fieldsOf returns the keys of a section's struct in their order, those of an
// embedded struct among them. A tag that makes no sense is a mistake in this
// package and panics.
func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.([]field)
	}
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				fields = append(fields, f)
			}
			continue
		}
		key, ok := sf.Tag.Lookup("key")
		if !ok || key == anyKey {
			continue
		}
		f := field{
			key:     key,
			section: t.Name(),
			index:   []int{i},
			deflt:   sf.Tag.Get("default"),
			min:     sf.Tag.Get("min"),
			max:     sf.Tag.Get("max"),
			as:      sf.Tag.Get("as"),
			check:   sf.Tag.Get("check"),
			with:    sf.Tag.Get("with"),
		}
		if f.check == "preset" {
			f.enum = preset.Names()
		} else if enum := sf.Tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, ",")
		}
		opts := strings.Split(sf.Tag.Get("opt"), ",")
		f.required = slices.Contains(opts, "required")
		f.ref = slices.Contains(opts, "ref")
		f.secret = slices.Contains(opts, "secret")
		f.nonempty = slices.Contains(opts, "nonempty")
		f.kind, f.elem = kindOf(sf.Type, f)
		fields = append(fields, f)
	}
	fieldCache.Store(t, fields)
	return fields
}

func kindOf(t reflect.Type, f field) (kind, reflect.Type) {
	switch {
	case t == durationType:
		return kindDuration, nil
	case t == argumentsType:
		return kindArguments, nil
	case t == periodType:
		return kindPeriod, nil
	case t == labelType:
		return kindLabel, nil
	case t == inputsType:
		return kindInputs, nil
	case t == injectType:
		return kindInject, nil
	case t == jsonType:
		return kindJSON, nil
	case f.as == "size":
		return kindSize, nil
	case f.as == "decimal":
		return kindDecimal, nil
	}
	switch t.Kind() {
	case reflect.Int:
		return kindNumber, nil
	case reflect.Bool:
		if f.enum != nil {
			return kindChoice, nil
		}
		return kindBool, nil
	case reflect.String:
		if f.enum != nil {
			return kindChoice, nil
		}
		return kindText, nil
	case reflect.Map:
		if f.enum != nil {
			return kindWordMap, nil
		}
		return kindTextMap, nil
	case reflect.Pointer:
		return kindSection, t.Elem()
	case reflect.Struct:
		return kindSection, t
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return kindTexts, nil
		}
		if _, named := t.Elem().FieldByName("Name"); named && !hasKey(t.Elem(), "name") {
			return kindNamedSections, t.Elem()
		}
		return kindSections, t.Elem()
	}
	panic(fmt.Sprintf("config: key %q has the type %s, which no file can hold", f.key, t))
}

// anyKey is the key of a field that holds what no other key of its section does.
const anyKey = "*"

func hasKey(t reflect.Type, key string) bool {
	return slices.ContainsFunc(fieldsOf(t), func(f field) bool { return f.key == key })
}

// keysOf returns the names of the keys of a section.
func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.key)
	}
	return keys
}

// setDefaults gives every key of a section its default, and those of the
// sections in it that are always there.
func setDefaults(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if f.kind == kindSection && fv.Kind() == reflect.Struct {
			setDefaults(fv)
		} else if f.deflt != "" {
			if err := f.setText(fv, f.deflt); err != "" {
				panic("config: the default of " + f.key + ": " + err)
			}
		}
	}
}

// setText sets a field of a simple kind from its text, or says what is wrong
// with it, as the end of a sentence that begins with the key.
func (f field) setText(v reflect.Value, text string) (wrong string) {
	switch f.kind {
	case kindText:
		v.SetString(text)
	case kindBool:
		v.SetBool(text == "true")
	case kindNumber, kindChoice:
		at := slices.Index(f.enum, text)
		if at < 0 {
			return fmt.Sprintf("is %s, and must be %s", quote(text), oneOf(f.enum))
		}
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(at == 1)
		case reflect.Int:
			n, _ := strconv.Atoi(text) // the enum of a number holds numbers
			v.SetInt(int64(n))
		default:
			v.SetString(text)
		}
	case kindTexts:
		v.Set(reflect.ValueOf([]string{text}))
	case kindDuration:
		d, err := parseDuration(text)
		if err == "" {
			err = inBounds(int64(d), f, func(s string) int64 { d, _ := parseDuration(s); return int64(d) })
		}
		if err != "" {
			return err
		}
		v.SetInt(int64(d))
	case kindSize:
		n, err := parseSize(text)
		if err == "" {
			err = inBounds(n, f, func(s string) int64 { n, _ := parseSize(s); return n })
		}
		if err != "" {
			return err
		}
		v.SetInt(n)
	case kindDecimal:
		if err := checkDecimal(text); err != "" {
			return err
		}
		v.SetString(text)
	case kindPeriod:
		p, err := parsePeriod(text)
		if err != "" {
			return err
		}
		v.Set(reflect.ValueOf(p))
	case kindArguments:
		switch text {
		case "declared":
			v.Set(reflect.ValueOf(Arguments{}))
		case "open":
			v.Set(reflect.ValueOf(Arguments{Open: true}))
		default:
			return fmt.Sprintf("is %s, and must be %s, or a list of patterns for the tools that are open", quote(text), oneOf(argumentWords))
		}
	default:
		panic("config: " + f.key + " has no simple value")
	}
	return ""
}

// argumentWords are the words that stand for all tools of a server under
// arguments.
var argumentWords = []string{"declared", "open"}

func inBounds(n int64, f field, parse func(string) int64) (wrong string) {
	if f.min != "" && n < parse(f.min) {
		return "must be at least " + f.min
	}
	if f.max != "" && n > parse(f.max) {
		return "must be at most " + f.max
	}
	return ""
}

// oneOf lists the words allowed: `auto, always or never`.
func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// withDefaults returns a configuration of nothing but defaults.
func withDefaults() *Config {
	cfg := new(Config)
	setDefaults(reflect.ValueOf(cfg).Elem())
	return cfg
}

// defaultServer returns a server of nothing but its name and defaults.
func defaultServer(name string) Server {
	s := Server{Name: name}
	setDefaults(reflect.ValueOf(&s).Elem())
	return s
}
