// Package redact takes known secret values out of JSON and text.
//
// A Redactor is told the values that were resolved for servers, and everything
// that leaves for the client, a log or a record is passed through it:
//
//	r := redact.New()
//	r.Add("vault:secret/github#token", token)
//	out, finds, err := r.JSON(message)   // the token is now [redacted:vault]
//
// A value is found as it is, and in the encodings that programs usually put
// values in: JSON escapes, also of JSON inside a JSON string and of that inside
// another; backslash escapes as of shells and Markdown; percent-encoding, once or
// twice; base64 of either alphabet at any alignment inside longer data;
// hexadecimal; HTML entities; and any of these broken over lines. Decoding goes
// three steps deep, so JSON inside JSON inside JSON, or JSON that was
// percent-encoded, is looked into, and a fourth step is not.
//
// What is not part of a find stays byte for byte as it was.
package redact

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// minLength is the length in bytes from which on a value is masked wherever it
// appears. A shorter one, such as "1" or "admin", would wreck all output.
const minLength = 8

// Short reports whether value is too short to be masked everywhere. Add ignores
// such a value, so whoever configures it should be warned.
func Short(value string) bool {
	return len(strings.TrimSpace(value)) < minLength
}

// Redactor masks the values that were added to it. It is safe for concurrent
// use. The zero value is not usable; call New.
type Redactor struct {
	mu     sync.Mutex
	values map[string]*known // by value

	// table is nil after a change, and built again by the next look.
	table atomic.Pointer[table]
}

// known is a value that was added.
type known struct {
	names    []string // in the order in which they came, at least one
	patterns []pattern
}

// New returns a Redactor that knows no value yet.
func New() *Redactor {
	r := &Redactor{values: map[string]*known{}}
	r.table.Store(&table{})
	return r
}

// Add makes value a secret: from the next call of JSON or Text on it is masked.
// The mask shows the part of name before its first colon, so a value added as
// "vault:secret/github#token" becomes [redacted:vault], which tells the reader
// where it came from and neither the path, nor the value, nor its length.
//
// Adding the same name and value again changes nothing. A new value under an
// old name leaves the old value masked too, because a server may still repeat
// it; see Remove. A Short value is ignored.
func (r *Redactor) Add(name, value string) {
	if Short(value) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.values[value]
	if k == nil {
		k = &known{patterns: forms(value)}
		r.values[value] = k
	}
	if !slices.Contains(k.names, name) {
		k.names = append(k.names, name)
		r.table.Store(nil)
	}
}

// Remove takes back one Add. The value stays masked while another name has it.
// It is for a credential that is known to be void, such as that of a lease which
// ended; others are better kept.
func (r *Redactor) Remove(name, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.values[value]
	if k == nil {
		return
	}
	i := slices.Index(k.names, name)
	if i < 0 {
		return
	}
	k.names = slices.Delete(k.names, i, i+1)
	if len(k.names) == 0 {
		delete(r.values, value)
	}
	r.table.Store(nil)
}

// JSON returns raw with every secret masked, and the number of masks. raw is one
// JSON value of any kind, in UTF-8, already checked to be well-formed.
//
// Where nothing is found the result is raw itself, not a copy, and nothing was
// allocated. Otherwise it is valid JSON of the same shape with two exceptions: a
// number that shows a secret becomes a string, and an object name that would
// equal another one because of its mask gets a number behind it. An error means
// that raw is not JSON; the message must then be withheld.
func (r *Redactor) JSON(raw []byte) (out []byte, finds int, err error) {
	t := r.current()
	if !t.suspect(raw, true) {
		return raw, 0, nil
	}
	return t.maskJSON(raw)
}

// Text returns s with every secret masked, for log lines and other plain text.
// A JSON document within s stays valid JSON, numbers aside.
func (r *Redactor) Text(s string) string {
	t := r.current()
	// The bytes are only read.
	text := unsafe.Slice(unsafe.StringData(s), len(s))
	if !t.suspect(text, false) {
		return s
	}
	masked, finds := t.maskText(text, false)
	if finds == 0 {
		return s
	}
	return string(masked)
}

// current returns the table for the values of now.
func (r *Redactor) current() *table {
	if t := r.table.Load(); t != nil {
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.table.Load()
	if t == nil {
		t = newTable(r.values)
		r.table.Store(t)
	}
	return t
}
