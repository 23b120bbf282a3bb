// Package jsonrpc reads JSON-RPC 2.0 messages strictly and changes them without
// touching anything else.
//
// A message stays the bytes that it arrived as. Parse checks them once, strictly,
// and notes where the members of the envelope lie; what has to change is then
// spliced into those bytes. So integers of any size, the spelling of floats and
// escapes, the order of keys and members that nobody knows come out as they went
// in, and what is forwarded is exactly what was checked.
//
//	m, err := jsonrpc.Parse(line, jsonrpc.Limits{})
//	...
//	out := m.Splice(jsonrpc.Edit{Span: m.ID, New: []byte("17")})
//
// Strict means that an input which two parsers could read differently is an error:
// duplicate names, invalid UTF-8, excessive depth, numbers outside float64, batches,
// and names of the envelope that are equal to a known name only under case folding.
package jsonrpc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Error codes of JSON-RPC 2.0 and of MCP 2026-07-28, basic/index "Error Codes".
const (
	CodeParse               = -32700
	CodeInvalidRequest      = -32600
	CodeMethodNotFound      = -32601
	CodeInvalidParams       = -32602
	CodeInternal            = -32603
	CodeHeaderMismatch      = -32020
	CodeMissingCapability   = -32021
	CodeUnsupportedVersion  = -32022
	CodeResourceNotFound    = -32002 // to 2025-11-25
	CodeURLElicitation      = -32042 // 2025-11-25 only
	DefaultMaxBytes         = 32 << 20
	DefaultMaxDepth         = 128
	maxNumberDigitsUntested = 300 // a plain integer shorter than this fits a float64
)

// Limits bound what Parse accepts. The zero value means the defaults.
type Limits struct {
	MaxBytes int // size of one message in bytes; 0 means DefaultMaxBytes
	MaxDepth int // nesting of objects and arrays; 0 means DefaultMaxDepth

	// Repair replaces escapes of lone surrogates by U+FFFD instead of refusing
	// them. JavaScript servers emit such escapes when they cut a string inside an
	// emoji; it is set for what servers send, never for requests of a client.
	Repair bool
}

// Span is a half-open range of bytes in Message.Raw. The zero Span means absent.
type Span struct{ Start, End int }

// Present reports whether the span covers anything.
func (s Span) Present() bool { return s.End > s.Start }

// Kind says which of the four message forms of JSON-RPC a message has.
type Kind uint8

const (
	Request Kind = iota + 1
	Notification
	Result
	Failure
)

// String returns the kind's name for logs.
func (k Kind) String() string {
	return [...]string{"invalid", "request", "notification", "result", "error"}[min(int(k), 4)]
}

// Message is one parsed message. The spans index Raw.
type Message struct {
	Raw    []byte
	Kind   Kind
	Method string
	ID     Span // of the id's raw JSON, a string or number; absent in notifications
	Params Span // object (MCP has no positional parameters); may be absent
	Result Span // any JSON value
	Error  Span // object with code and message
}

// At returns the bytes of a span, nil if it is absent.
func (m *Message) At(s Span) []byte {
	if !s.Present() {
		return nil
	}
	return m.Raw[s.Start:s.End:s.End]
}

// IDKey returns the id in a form that is equal for equal ids, however their strings
// were escaped. It is empty if the message has no id.
func (m *Message) IDKey() string { return Key(m.At(m.ID)) }

// Key returns a comparable form of a raw id, progress token or other string or
// number.
func Key(raw []byte) string {
	if len(raw) > 0 && raw[0] == '"' {
		return `"` + String(raw)
	}
	return string(raw)
}

// ParseError says why a message was refused. Code is the JSON-RPC code for the
// answer; ID is the raw id where it could still be told, else nil.
type ParseError struct {
	Code   int
	ID     []byte
	Reason string
}

// Error returns the reason; it never quotes the message.
func (e *ParseError) Error() string { return e.Reason }

// Parse checks raw and finds the parts of the envelope. The message keeps raw, which
// must not be changed afterwards. Parse itself may change raw in place: line ends between
// tokens become spaces, since a message that came as several lines over HTTP would be
// several messages to a server on stdio, and l.Repair replaces escapes. The error is a
// *ParseError.
func Parse(raw []byte, l Limits) (*Message, error) {
	maxBytes, maxDepth := l.MaxBytes, l.MaxDepth
	if maxBytes == 0 {
		maxBytes = DefaultMaxBytes
	}
	if maxDepth == 0 {
		maxDepth = DefaultMaxDepth
	}
	if len(raw) > maxBytes {
		return nil, &ParseError{Code: CodeInvalidRequest, Reason: fmt.Sprintf("message of %d bytes is above the limit of %d", len(raw), maxBytes)}
	}
	raw = trimSpace(raw)
	if len(raw) > 0 && raw[0] == '[' {
		return nil, &ParseError{Code: CodeInvalidRequest, Reason: "batches are not accepted: send one message at a time"}
	}
	var o outline
	if err := check(raw, maxDepth, l.Repair, &o); err != nil {
		return nil, err
	}
	m := &Message{Raw: raw}
	return m, m.open(&o)
}

// trimSpace takes away JSON's white space around raw. It is not bytes.TrimSpace, which
// takes U+0085, U+00A0, form feeds and vertical tabs too.
func trimSpace(raw []byte) []byte {
	raw = raw[skipSpace(raw, 0):]
	end := len(raw)
	for end > 0 && skipSpace(raw[:end], end-1) == end {
		end--
	}
	return raw[:end]
}

// check validates raw as one strict JSON value, makes it one line, and notes its members
// if it is an object.
func check(raw []byte, maxDepth int, repair bool, o *outline) error {
	if !plain(raw, maxDepth, o) {
		if err := checkSlowly(raw, maxDepth, repair); err != nil {
			return err
		}
		*o = outline{n: len(o.members) + 1}
	}
	for _, end := range []byte("\n\r") { // valid JSON has them between tokens only
		for rest := raw; ; {
			i := bytes.IndexByte(rest, end)
			if i < 0 {
				break
			}
			rest[i] = ' '
			rest = rest[i+1:]
		}
	}
	return nil
}

// checkSlowly validates raw as one strict JSON value, whatever it holds.
func checkSlowly(raw []byte, maxDepth int, repair bool) error {
	lone, err := survey(raw, maxDepth)
	if err != nil {
		return err
	}
	if lone && repair {
		repairSurrogates(raw)
	}
	if !jsontext.Value(raw).IsValid() {
		return &ParseError{Code: CodeParse, Reason: explain(raw)}
	}
	return nil
}

// CheckValue validates raw, some JSON value outside an envelope, as strictly as Parse
// does.
func CheckValue(raw []byte, l Limits) error {
	if l.MaxBytes == 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	if l.MaxDepth == 0 {
		l.MaxDepth = DefaultMaxDepth
	}
	if len(raw) > l.MaxBytes {
		return &ParseError{Code: CodeInvalidRequest, Reason: fmt.Sprintf("value of %d bytes is above the limit of %d", len(raw), l.MaxBytes)}
	}
	return check(trimSpace(raw), l.MaxDepth, l.Repair, &outline{})
}

// explain reads raw again to say what is wrong with it; only the unhappy path pays.
func explain(raw []byte) string {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	for {
		if _, err := d.ReadToken(); err != nil {
			var syntactic *jsontext.SyntacticError
			switch {
			case errors.Is(err, jsontext.ErrDuplicateName):
				return fmt.Sprintf("duplicate name in a JSON object at byte %d", d.InputOffset())
			case errors.As(err, &syntactic):
				return fmt.Sprintf("not valid JSON at byte %d", syntactic.ByteOffset)
			default:
				return "not one whole JSON value"
			}
		}
	}
}

// open finds the members of the envelope in checked bytes and classifies the message.
func (m *Message) open(o *outline) error {
	if len(m.Raw) == 0 || m.Raw[0] != '{' {
		return &ParseError{Code: CodeInvalidRequest, Reason: "a message is a JSON object"}
	}
	var e envelope
	if o.n <= len(o.members) {
		for _, member := range o.members[:o.n] {
			e.note(m, member.name, member.value)
		}
	} else {
		for name, value := range Members(m.Raw, Span{0, len(m.Raw)}) {
			e.note(m, name, value)
		}
	}
	fail := func(reason string) error {
		e := &ParseError{Code: CodeInvalidRequest, Reason: reason}
		if m.ID.Present() && isID(m.At(m.ID)) {
			e.ID = m.At(m.ID)
		}
		return e
	}
	switch {
	case e.clash != "":
		return fail(fmt.Sprintf("a name in the message equals %q but for upper and lower case", e.clash))
	case e.unknown > 1 && siblings(m.Raw, Span{0, len(m.Raw)}) != "":
		return fail("two names in the message are equal but for upper and lower case")
	case string(m.At(e.version)) != `"2.0"` && String(m.At(e.version)) != "2.0":
		return fail(`"jsonrpc" is not "2.0"`)
	case m.ID.Present() && !isID(m.At(m.ID)):
		// An answer to a message whose id could not be read carries null (JSON-RPC 2.0 §5).
		if string(m.At(m.ID)) == "null" && m.Error.Present() {
			m.ID = Span{}
		} else {
			return fail("the id is neither a string nor a number")
		}
	}
	switch has := [...]bool{e.method.Present(), m.Result.Present(), m.Error.Present()}; has {
	case [...]bool{true, false, false}:
		if m.Raw[e.method.Start] != '"' {
			return fail(`"method" is not a string`)
		}
		m.Method = String(m.At(e.method))
		if m.Params.Present() && m.Raw[m.Params.Start] != '{' {
			return fail(`"params" is not an object`)
		}
		m.Kind = Notification
		if m.ID.Present() {
			m.Kind = Request
		}
	case [...]bool{false, true, false}:
		if !m.ID.Present() {
			return fail("a result without an id")
		}
		m.Kind = Result
	case [...]bool{false, false, true}:
		if m.Raw[m.Error.Start] != '{' {
			return fail(`"error" is not an object`)
		}
		m.Kind = Failure
	default:
		return fail("a message has exactly one of method, result and error")
	}
	return nil
}

// envelope is what open notes beside the fields of the message.
type envelope struct {
	version, method Span
	unknown         int    // members with none of the known names
	clash           string // the known name that one of them equals but for case
}

var envelopeNames = NewNames("jsonrpc", "id", "method", "params", "result", "error")

// note takes one member of the message.
func (e *envelope) note(m *Message, name, value Span) {
	inner := m.Raw[name.Start+1 : name.End-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner = []byte(String(m.Raw[name.Start:name.End]))
	}
	switch string(inner) {
	case "jsonrpc":
		e.version = value
	case "id":
		m.ID = value
	case "method":
		e.method = value
	case "params":
		m.Params = value
	case "result":
		m.Result = value
	case "error":
		m.Error = value
	default:
		e.unknown++
		if known := envelopeNames.Fold(m.Raw[name.Start:name.End]); known != "" {
			e.clash = known
		}
	}
}

func isID(raw []byte) bool {
	c := raw[0]
	return c == '"' || c == '-' || '0' <= c && c <= '9'
}

// survey walks over the structure of raw and finds what jsontext does not look at:
// depth, the range of numbers, and whether an escape of a surrogate occurs that has
// no partner. It trusts nothing, since raw was not checked before.
func survey(raw []byte, maxDepth int) (lone bool, err error) {
	depth := 0
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '"':
			end, surrogate := stringEnd(raw, i)
			lone = lone || surrogate
			i = end
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return lone, &ParseError{Code: CodeInvalidRequest, Reason: fmt.Sprintf("nested deeper than %d levels", maxDepth)}
			}
			i++
		case c == '}' || c == ']':
			depth--
			i++
		case c == '-' || '0' <= c && c <= '9':
			start := i
			exponent := false
			for i++; i < len(raw); i++ {
				c := raw[i]
				if c == 'e' || c == 'E' {
					exponent = true
				} else if c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
					break
				}
			}
			if exponent || i-start > maxNumberDigitsUntested {
				if _, err := strconv.ParseFloat(string(raw[start:i]), 64); errors.Is(err, strconv.ErrRange) {
					return lone, &ParseError{Code: CodeParse, Reason: fmt.Sprintf("the number at byte %d is outside the range of a float64", start)}
				}
			}
		default:
			i++
		}
	}
	return lone, nil
}

// stringEnd returns the offset after the string that starts at raw[i], and whether it
// holds an escape of a lone surrogate. An unterminated string ends with raw.
func stringEnd(raw []byte, i int) (end int, lone bool) {
	quote := -1 // the next one at or after i, kept so that a text full of escapes is searched once
	for i++; ; {
		if quote < i {
			n := bytes.IndexByte(raw[i:], '"')
			if n < 0 {
				return len(raw), lone
			}
			quote = i + n
		}
		backslash := bytes.IndexByte(raw[i:quote], '\\')
		if backslash < 0 {
			return quote + 1, lone
		}
		i += backslash
		size, ok := escapeSize(raw[i:])
		lone = lone || !ok
		i += size
		if i >= len(raw) {
			return len(raw), lone
		}
	}
}

// escapeSize returns how many bytes the escape at the start of s takes, a surrogate
// pair being one escape, and false if it is a lone surrogate.
func escapeSize(s []byte) (n int, ok bool) {
	if len(s) < 6 || s[1] != 'u' {
		return min(2, len(s)), true
	}
	switch r := hex4(s[2:6]); {
	case r < 0xd800 || r > 0xdfff:
		return 6, true
	case r < 0xdc00 && len(s) >= 12 && s[6] == '\\' && s[7] == 'u':
		if low := hex4(s[8:12]); 0xdc00 <= low && low <= 0xdfff {
			return 12, true
		}
	}
	return 6, false
}

// hex4 returns the value of four hexadecimal digits, or -1.
func hex4(s []byte) int {
	v, err := strconv.ParseUint(string(s), 16, 16)
	if err != nil {
		return -1
	}
	return int(v)
}

// repairSurrogates overwrites escapes of lone surrogates by that of U+FFFD, which has
// the same length.
func repairSurrogates(raw []byte) {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		n, ok := escapeSize(raw[i:])
		if !ok {
			copy(raw[i:], `\ufffd`)
		}
		i += n - 1
	}
}
