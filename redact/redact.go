// Package redact takes secrets and personal data out of JSON and text.
//
// A Redactor is told the values that were resolved for servers, and what else is to be
// found and done. Everything that leaves for the client, a log or a record is passed
// through it:
//
//	r, err := redact.New(redact.Options{PII: map[string]redact.Action{"email": redact.Tokenize}})
//	r.Add("vault:secret/github#token", token)
//	out, finds, err := r.JSON(message, redact.Scope{Tool: "crm.get_contact", Tokens: session})
//
// # Known values
//
// A value that was added is found as it is, and in the encodings that programs usually
// put values in: JSON escapes, also of JSON inside a JSON string and of that inside
// another; backslash escapes as of shells, C and Markdown; percent-encoding, once or
// twice; character references of HTML; quoted-printable; base64 of either alphabet at
// any alignment inside longer data; hexadecimal; UTF-16; and any of these broken over
// lines. Decoding goes three steps deep, so JSON inside JSON inside JSON, or base64 of
// base64 of what was percent-encoded, is looked into, and a fourth step is not.
//
// A value whose letters and digits tell enough is found by these alone, whatever stands
// between them and however they are written: see squeeze. Known values are always masked.
//
// # Detectors
//
// What is not known is found by packages secrets and pii and by patterns of the
// user's own, in the decoded text of the whole message: three steps of escapes,
// percent-encoding and character references, and base64 of text, twice. What happens to a find is an [Action].
//
// What is not part of a find stays byte for byte as it was.
package redact

import (
	"cmp"
	"slices"
	"sort"
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

// Redactor takes out the values that were added to it and what its detectors find. It
// is safe for concurrent use. The zero value is not usable; call New.
type Redactor struct {
	mu     sync.Mutex
	values map[string]*known // by value

	// table is nil after a change, and built again by the next look.
	table atomic.Pointer[table]

	set atomic.Pointer[settings]
}

// known is a value that was added.
type known struct {
	names     []string // in the order in which they came, at least one
	patterns  []pattern
	skeletons []pattern
}

// New returns a Redactor that knows no value yet. The error says all that is wrong
// with the options.
func New(o Options) (*Redactor, error) {
	r := &Redactor{values: map[string]*known{}}
	r.table.Store(&table{})
	return r, r.Configure(o)
}

// Configure puts other options in force, or none of them where it returns an error.
// Known values stay.
func (r *Redactor) Configure(o Options) error {
	set, err := newSettings(o)
	if err != nil {
		return err
	}
	r.set.Store(set)
	return nil
}

// Prepare does what the first look needs and takes some time, unless that was done.
func (r *Redactor) Prepare() error { return r.settings().detectors.secrets.Prepare() }

// Ready reports whether Prepare would return at once.
func (r *Redactor) Ready() bool { return r.settings().detectors.secrets.Ready() }

func (r *Redactor) settings() *settings { return r.set.Load() }

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
		k = &known{patterns: forms(value), skeletons: skeletons(value)}
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

// Scope says what a text is. The zero value is a text for a log or a record.
type Scope struct {
	Tool   string  // server.tool whose result it is, "server." if it is of nobody knows which tool of it, or ""
	Tokens *Tokens // of the session that gets it; without them finds are masked that would be tokenized or hashed

	// Both are asked once there is a find, and may be nil.
	Keep   func(text []byte) []Span                // the places of what stays although it is found, none in another
	Shapes func(text []byte, finds []Span) []Shape // what a schema says of the strings and numbers in JSON that hold finds, by their place
}

// Span is text[Start:End].
type Span struct{ Start, End int }

// Redacted is a text after redaction.
type Redacted struct {
	Text      []byte     // the same bytes, not a copy, where nothing was found
	Finds     []Find     // by their place in the text as it was given
	Tokenized []Restored // what tokens stand for now
}

// JSON takes what is to be found out of raw, one JSON value of any kind, in UTF-8,
// already checked to be well-formed.
//
// Where nothing is found nothing was allocated. Otherwise the text is valid JSON of the
// same shape with two exceptions: a number that shows a find becomes a string unless
// s.Shape says otherwise, and an object name that would equal another one because of its
// mask gets a number behind it. An error means that raw must be withheld: it is not JSON,
// a *BlockedError, or ErrTime.
func (r *Redactor) JSON(raw []byte, scope Scope) (Redacted, error) {
	s := newScan(r.settings(), scope)
	defer s.release()
	clean, edits, finds := raw, []edit(nil), []Find(nil)
	if t := r.current(); s.suspect(t, raw) {
		var err error
		if clean, edits, finds, err = t.maskJSON(raw); err != nil {
			return Redacted{}, err
		}
	}
	return s.redact(clean, true, edits, finds)
}

// Known is JSON for known values only.
func (r *Redactor) Known(raw []byte) (out []byte, finds int, err error) {
	t := r.current()
	if !t.suspect(raw, true) {
		return raw, 0, nil
	}
	out, _, found, err := t.maskJSON(raw)
	return out, len(found), err
}

// Unknown is JSON for all but known values, for what Known or JSON has gone through already.
func (r *Redactor) Unknown(raw []byte, scope Scope) (Redacted, error) {
	s := newScan(r.settings(), scope)
	defer s.release()
	return s.redact(raw, true, nil, nil)
}

// Plain is JSON for plain text.
func (r *Redactor) Plain(text []byte, scope Scope) (Redacted, error) {
	s := newScan(r.settings(), scope)
	defer s.release()
	clean, edits, finds := text, []edit(nil), []Find(nil)
	if t := r.current(); t.suspect(text, false) {
		var within []find
		clean, within = t.maskText(text, false)
		for _, f := range within {
			finds = append(finds, Find{DetectKnown, t.typeOf(f.secret), f.start, f.end, Mask})
			edits = append(edits, edit{f.start, f.end, len(t.masks[f.secret])})
		}
	}
	return s.redact(clean, false, edits, finds)
}

// redact runs the detectors over a text from which known values were taken.
func (s *scan) redact(text []byte, isJSON bool, edits []edit, finds []Find) (Redacted, error) {
	done := Redacted{Text: text, Finds: finds}
	if !s.wants.any() {
		return done, nil
	}
	s.until = s.set.limit(len(text))
	if err := s.run(text, isJSON); err != nil {
		return Redacted{}, err
	}
	s.keep(text)
	if len(s.hits) == 0 {
		return done, nil
	}
	var err error
	if isJSON {
		done.Text, err = s.applyJSON(text)
	} else {
		done.Text, err = s.applyText(text)
	}
	if err != nil {
		return Redacted{}, err
	}
	done.Tokenized = s.tokenized
	was := newOrigins(edits)
	done.Finds = slices.Grow(done.Finds, len(s.hits))
	for i := range s.hits {
		h := &s.hits[i]
		from, to := was.of(h.start), was.of(h.end)
		switch h.detector {
		case detectLookAlike:
		case detectEncoded:
			for _, f := range h.inner() {
				f.Start, f.End = from, to // base64 has no places of its own for what is within
				done.Finds = append(done.Finds, f)
			}
		default:
			done.Finds = append(done.Finds, h.find(from, to))
		}
	}
	done.Finds = distinct(done.Finds)
	return done, nil
}

// distinct sorts finds by their place, and drops those that were found in two decodings of
// the text.
func distinct(finds []Find) []Find {
	order := func(a, b *Find) int {
		if a.Start != b.Start {
			return cmp.Compare(a.Start, b.Start)
		}
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Detector, b.Detector), cmp.Compare(a.Type, b.Type))
	}
	ascending := true // as they nearly always are, each apart from the next
	for i := 1; i < len(finds) && ascending; i++ {
		ascending = order(&finds[i-1], &finds[i]) < 0
	}
	if ascending {
		return finds
	}
	slices.SortFunc(finds, func(a, b Find) int { return order(&a, &b) })
	return slices.CompactFunc(finds, func(a, b Find) bool { return order(&a, &b) == 0 })
}

// keep drops the hits that are inside of what is to stay.
func (s *scan) keep(text []byte) {
	if s.scope.Keep == nil || len(s.hits) == 0 {
		return
	}
	spans := s.scope.Keep(text)
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
	s.hits = slices.DeleteFunc(s.hits, func(h hit) bool {
		n := sort.Search(len(spans), func(n int) bool { return h.start < spans[n].Start })
		return n > 0 && h.end <= spans[n-1].End
	})
}

// Text returns s with everything masked that is to be found, for log lines and other
// plain text. A JSON document within s stays valid JSON, numbers aside.
func (r *Redactor) Text(s string) string {
	// The bytes are only read.
	text := unsafe.Slice(unsafe.StringData(s), len(s))
	done, err := r.Plain(text, Scope{})
	switch {
	case err != nil:
		return "[withheld: it could not be redacted]"
	case len(done.Finds) == 0:
		return s
	}
	return string(done.Text)
}

// Secret reports whether a text, which may be JSON, holds a known value or what the
// detector of secrets finds, whatever happens to it in results.
func (r *Redactor) Secret(text string) (bool, error) {
	raw := []byte(text)
	if t := r.current(); t.suspect(raw, false) {
		if _, finds := t.maskText(raw, false); len(finds) > 0 {
			return true, nil
		}
	}
	return r.holds(raw, wants{secrets: true, everything: true}, "")
}

// PII reports whether a text, which may be JSON, holds personal data of a type, or of
// any if typ is "". It errors if there is no such type.
func (r *Redactor) PII(text, typ string) (bool, error) {
	if typ != "" {
		if err := knownType(typ); err != nil {
			return false, err
		}
	}
	return r.holds([]byte(text), wants{pii: true, everything: true}, typ)
}

func (r *Redactor) holds(text []byte, w wants, typ string) (bool, error) {
	s := newScan(r.settings(), Scope{})
	defer s.release()
	s.wants, s.until = w, s.set.limit(len(text))
	if err := s.run(text, false); err != nil {
		return false, err
	}
	for i := range s.hits {
		h := &s.hits[i]
		if typ == "" || h.typ == typ || slices.ContainsFunc(h.inner(), func(f Find) bool { return f.Type == typ }) {
			return true, nil
		}
	}
	return false, nil
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
