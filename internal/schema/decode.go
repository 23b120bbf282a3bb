package schema

import (
	"bytes"
	"encoding/json" // for Number, the type in which the validator takes numbers exactly
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxInstanceDepth = 128
	maxInstance      = 1 << 20 // values; each takes many times the memory of its bytes
	maxDigits        = 1000    // of a number, and of its exponent's size
)

// limits bound what decode accepts. A zero number of values means no bound.
type limits struct {
	depth, values int
	schema        bool
}

// decode reads one JSON value strictly: no duplicate names, valid UTF-8.
// Numbers stay as they are written.
func decode(raw []byte, l limits) (any, error) {
	// A Buffer is read in place, and not written to.
	d := decoder{tokens: jsontext.NewDecoder(bytes.NewBuffer(raw)), limits: l}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimLeft(raw[d.tokens.InputOffset():], " \t\r\n")) > 0 {
		return nil, errors.New("there is more than one JSON value")
	}
	return v, nil
}

type decoder struct {
	tokens *jsontext.Decoder
	limits limits
	values int
	refs   map[string]bool
	ids    int
}

func (d *decoder) read() (jsontext.Token, error) {
	token, err := d.tokens.ReadToken()
	if err != nil {
		// The library's error quotes what it could not read.
		return token, fmt.Errorf("it is not valid JSON at byte %d", d.tokens.InputOffset())
	}
	return token, nil
}

func (d *decoder) value(depth int) (any, error) {
	if depth > d.limits.depth {
		return nil, fmt.Errorf("it is nested more than %d levels deep", d.limits.depth)
	}
	if d.values++; d.limits.values > 0 && d.values > d.limits.values {
		return nil, fmt.Errorf("it holds more than %d values", d.limits.values)
	}
	token, err := d.read()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	case '"':
		return token.String(), nil
	case '0':
		return number(token.String())
	case '[':
		list := []any{}
		for d.tokens.PeekKind() != ']' {
			v, err := d.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.read()
		return list, err
	case '{':
		object := map[string]any{}
		for d.tokens.PeekKind() != '}' {
			name, err := d.read()
			if err != nil {
				return nil, err
			}
			key := name.String() // before the next read, which overwrites it
			v, err := d.value(depth + 1)
			if err != nil {
				return nil, err
			}
			if d.limits.schema {
				if err := d.keyword(key, v); err != nil {
					return nil, err
				}
			}
			object[key] = v
		}
		_, err := d.read()
		return object, err
	}
	return nil, fmt.Errorf("it is not valid JSON at byte %d", d.tokens.InputOffset())
}

// number refuses numbers whose exact value would be too large to calculate with.
func number(text string) (json.Number, error) {
	exponent := 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		e, err := strconv.Atoi(text[i+1:])
		if err != nil {
			e = maxDigits + 1
		}
		exponent = max(e, -e)
	}
	if len(text) > maxDigits || exponent > maxDigits {
		return "", fmt.Errorf("a number has more than %d digits", maxDigits)
	}
	return json.Number(text), nil
}

// keyword refuses counts outside int64, which the validator would wrap, and
// more references and identifiers than it handles in reasonable time.
func (d *decoder) keyword(name string, v any) error {
	switch v := v.(type) {
	case json.Number:
		switch name {
		case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
			if f, err := v.Float64(); err != nil || f >= 1<<63 || f < 0 {
				return fmt.Errorf("%s is out of range", name)
			}
		}
	case string:
		switch name {
		case "$ref":
			rest, ok := strings.CutPrefix(v, "#/$defs/")
			if !ok {
				rest, ok = strings.CutPrefix(v, "#/definitions/")
			}
			if ok && !strings.Contains(rest, "/") || d.refs[v] {
				return nil
			}
			if len(d.refs) == maxOddRefs {
				return fmt.Errorf("it has more than %d different references to other places than definitions", maxOddRefs)
			}
			if d.refs == nil {
				d.refs = map[string]bool{}
			}
			d.refs[v] = true
		case "$id", "id":
			if d.ids++; d.ids > maxIDs {
				return fmt.Errorf("it has more than %d identifiers", maxIDs)
			}
		}
	}
	return nil
}
