package rules

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// A room is how many values, and bytes of texts and names, may still be decoded. A value
// takes many times the memory of the three bytes that it may stand in.
type room struct{ values, bytes int }

// fullRoom is what the arguments of one call may take.
var fullRoom = room{values: maxElements, bytes: maxDecoded}

var errTooLarge = failf("the arguments are too large for a rule to look at")

func (r *room) take(bytes int) error {
	r.values--
	r.bytes -= bytes
	if r.values < 0 || r.bytes < 0 {
		return errTooLarge
	}
	return nil
}

// decodeArgs reads a call's arguments strictly: one JSON object, no duplicate
// names, valid UTF-8. Nil stands for an empty object.
func decodeArgs(raw []byte, left *room) (map[string]any, error) {
	if raw == nil {
		return map[string]any{}, nil
	}
	v, err := decodeJSON(raw, left)
	if err == errTooLarge {
		return nil, err
	}
	if err != nil {
		return nil, failf("the arguments are not valid JSON, or nested too deeply")
	}
	args, ok := v.(map[string]any)
	if !ok {
		return nil, failf("the arguments are not a JSON object")
	}
	return args, nil
}

// decodeJSON reads one JSON value. Numbers become int or float64 where these
// hold exactly what is written, and inexact where they do not.
func decodeJSON(raw []byte, left *room) (any, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw)) // which is read in place, and not written to
	v, err := decodeValue(d, 0, decodeNumber, left)
	if err != nil {
		return nil, err
	}
	if rest := bytes.TrimLeft(raw[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, failf("there is more than one JSON value")
	}
	return v, nil
}

// decodeChecked reads one JSON value that package jsonrpc has checked, so that the only
// error is that there is no room for it.
func decodeChecked(raw []byte, left *room) (any, error) {
	switch raw[0] {
	case 'n':
		return nil, nil
	case 't', 'f':
		return raw[0] == 't', nil
	case '"':
		if err := left.take(len(raw)); err != nil {
			return nil, err
		}
		return jsonrpc.String(raw), nil
	case '{', '[':
		return decodeJSON(raw, left)
	}
	if i, ok := jsonrpc.Int(raw); ok {
		return int(i), nil
	}
	return decodeNumber(string(raw)), nil
}

// decodeValue reads the next value; number says what a number becomes.
func decodeValue(d *jsontext.Decoder, depth int, number func(text string) any, left *room) (any, error) {
	if depth > maxJSON {
		return nil, failf("JSON is nested too deeply")
	}
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	if err := left.take(0); err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	case '"':
		text := token.String()
		return text, left.take(len(text))
	case '0':
		return number(token.String()), nil
	case '[':
		list := []any{}
		for d.PeekKind() != ']' {
			v, err := decodeValue(d, depth+1, number, left)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.ReadToken()
		return list, err
	}
	object := map[string]any{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String() // before the next read, which overwrites it
		if err := left.take(len(key)); err != nil {
			return nil, err
		}
		v, err := decodeValue(d, depth+1, number, left)
		if err != nil {
			return nil, err
		}
		object[key] = v
	}
	_, err = d.ReadToken()
	return object, err
}

// decodeNumber reads a JSON number. A whole number within int64 is an int,
// however it is written (5, 5.0, 5e0). Any other is a float64 if the float64
// nearest to it prints as the same decimal, as 0.1 does: such decimals compare
// among each other as they are written. Everything else is inexact.
func decodeNumber(text string) any {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return int(i)
	}
	written, ok := parseDecimal(text)
	if !ok {
		return inexact{}
	}
	if i, ok := written.int64(); ok {
		return int(i)
	}
	if written.exponent >= 0 {
		return inexact{} // a whole number outside int64
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return inexact{}
	}
	if held, ok := parseDecimal(strconv.FormatFloat(f, 'e', -1, 64)); !ok || held != written {
		return inexact{}
	}
	return f
}

// A decimal is digits * 10^exponent, without zeros at either end of the digits;
// zero has none. Equal numbers are equal decimals.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

func parseDecimal(text string) (decimal, bool) {
	var d decimal
	if text, d.negative = strings.CutPrefix(text, "-"); len(text) > 1024 {
		return d, false
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		e, err := strconv.ParseInt(text[i+1:], 10, 32)
		if err != nil {
			return d, false
		}
		text, d.exponent = text[:i], int(e)
	}
	if whole, fraction, ok := strings.Cut(text, "."); ok {
		text = whole + fraction
		d.exponent -= len(fraction)
	}
	d.digits = strings.TrimRight(text, "0")
	d.exponent += len(text) - len(d.digits)
	d.digits = strings.TrimLeft(d.digits, "0")
	if d.digits == "" {
		return decimal{}, true
	}
	return d, true
}

func (d decimal) int64() (int64, bool) {
	if d.exponent < 0 || d.exponent > 19 {
		return 0, d.digits == ""
	}
	text := d.digits + strings.Repeat("0", d.exponent)
	if d.negative {
		text = "-" + text
	}
	if d.digits == "" {
		return 0, true
	}
	i, err := strconv.ParseInt(text, 10, 64)
	return i, err == nil
}
