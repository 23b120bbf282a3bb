package redact

import (
	"bytes"
	"fmt"
	"sort"
)

// Shape is what a schema says of a string or number in JSON, so that what stands for a find
// there is one that the schema takes.
type Shape struct {
	Span                                    // the value's, with the quotation marks of a string
	Takes func(value []byte) bool           // whether the schema takes a string or number there, as JSON
	Hints func() (formats, bounds []string) // the formats that the schema names, and bounds of numbers
}

// shapeAt returns the shape of the value that begins at i, or nil.
func shapeAt(shapes []Shape, i int) *Shape {
	n := sort.Search(len(shapes), func(n int) bool { return i <= shapes[n].Start })
	if n == len(shapes) || shapes[n].Start != i {
		return nil
	}
	return &shapes[n]
}

// shaped returns what stands for a find that is all of a string: what stands for it elsewhere,
// where the schema takes that, or else something of the format that the schema names or of
// the form of the value. Of these only addresses are tokens. If nothing fits, the result will
// not fit its schema either, and is for the caller to withhold.
func (s *scan) shaped(seg *segment, sh *Shape, value []byte) string {
	formats, _ := sh.Hints()
	quoted := func(text string) []byte { return []byte(`"` + text + `"`) }
	for _, format := range formats {
		if text := s.ofFormat(seg, format); text != "" && sh.Takes(quoted(text)) {
			return text
		}
	}
	text := string(s.appendReplacement(nil, seg, true))
	if sh.Takes(quoted(text)) {
		return text
	}
	for _, keep := range [...]bool{false, true} {
		if like := s.like(seg.hit, value, keep); like != "" && sh.Takes(quoted(like)) {
			return like
		}
	}
	return text
}

// number returns what stands for a number that is a find, or part of one, as JSON: a string, or
// where the schema takes none a number that it takes.
func (s *scan) number(seg *segment, sh *Shape, value []byte, whole bool) string {
	text := string(append(s.appendReplacement([]byte{'"'}, seg, whole), '"'))
	if sh == nil || sh.Takes([]byte(text)) {
		return text
	}
	_, bounds := sh.Hints()
	for _, n := range append([]string{"0"}, append(bounds, s.like(seg.hit, value, true))...) {
		if n != "" && sh.Takes([]byte(n)) {
			return n
		}
	}
	return text
}

// ofFormat returns something of a format of JSON Schema that stands for a find, or "": nothing
// can be reached at what it says (RFC 2606, RFC 5737, RFC 3849).
func (s *scan) ofFormat(seg *segment, format string) string {
	k := s.keyed(seg.hit)
	switch format {
	case "email", "idn-email":
		if seg.whole {
			if body := s.token(seg.hit, true); body != "" {
				return body + shapedDomain
			}
		}
		return "redacted@redacted.invalid"
	case "ipv4":
		return fmt.Sprintf("192.0.2.%d", k[0])
	case "ipv6":
		return fmt.Sprintf("2001:db8::%x:%x", int(k[0])<<8|int(k[1]), int(k[2])<<8|int(k[3]))
	case "uri", "iri", "uri-reference", "iri-reference":
		return fmt.Sprintf("https://redacted.invalid/%x", k[:8])
	case "hostname", "idn-hostname":
		return fmt.Sprintf("x%x.redacted.invalid", k[:8])
	case "uuid":
		return uuid(k)
	case "date":
		return "1970-01-01"
	case "time":
		return "00:00:00Z"
	case "date-time":
		return "1970-01-01T00:00:00Z"
	}
	return ""
}

// uuid returns a UUID of version 8, which means nothing (RFC 9562, section 5.8).
func uuid(k []byte) string {
	id := bytes.Clone(k[:16])
	id[6] = id[6]&0x0F | 0x80
	id[8] = id[8]&0x3F | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// keyed returns bytes that stand for a find: the same for the same value in the session, or all
// zero where it is masked.
func (s *scan) keyed(h *hit) []byte {
	if t := s.scope.Tokens; t != nil && (h.action == Tokenize || h.action == Hash) {
		return t.mac("shape", h.typ, s.value(h))
	}
	return make([]byte, 32)
}

// like returns a text of the form of a value: with other digits in the place of digits, and
// other letters in that of letters unless they stay, as they may where digits are most of what
// is found. It is "" if there is none.
func (s *scan) like(h *hit, value []byte, letters bool) string {
	out := bytes.Clone(value)
	k, digits := s.keyed(h), 0
	for i, c := range out {
		b := k[i%len(k)]
		switch {
		case '0' <= c && c <= '9':
			digits++
			out[i] = '0' + b%10
			if i == 0 && out[i] == '0' && len(out) > 1 {
				out[i] = '1' // a number does not begin with zero
			}
		case c == '\\' || c >= 0x80:
			return ""
		case letters || kind(c) == 3:
		case 'a' <= c && c <= 'z':
			out[i] = 'a' + b%26
		default:
			out[i] = 'A' + b%26
		}
	}
	if letters && (h.detector == DetectSecret || 2*digits < len(out)) || bytes.Equal(out, value) {
		return ""
	}
	return string(out)
}
