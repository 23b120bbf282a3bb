package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A token is what stands for a value: <email:k3jq7ah2c5xw4n6zr2vd>. Its body is 100
// bits of a MAC over the type and the value, keyed by the session, so it cannot be
// guessed, says nothing of the value, and is the same for the same value.
const (
	bodySize = 20
	maxType  = 40 // bytes of a type in a token or a mask

	// shapedDomain is where tokens for e-mail addresses live in results whose schema
	// demands addresses. Nothing can be sent there (RFC 2606, section 2).
	shapedDomain = "@token.invalid"

	// escapeMark goes before the body of what looks like a token and comes from a
	// server. What has one is no token, and the mark is never taken out again.
	escapeMark = "~"
)

var bodyEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Bounds on what one session's tokens stand for. What comes beyond them is masked.
const (
	maxTokens     = 10_000
	maxTokenBytes = 8 << 20
)

// Tokens are the stand-ins of one session, and the key of its hashes. They are safe
// for concurrent use.
type Tokens struct {
	key [32]byte

	mu     sync.Mutex
	values map[string]tokenized // by body
	bodies map[tokenized]issued // the other way round
	heads  map[[headSize]byte]bool
	size   int
}

// headSize is how many bytes at the start of a body are looked up first.
const headSize = 8

type tokenized struct{ typ, value string }

// issued is a token that was given out, with what it stands for.
type issued struct{ body, value string }

// NewTokens returns the tokens of a new session.
func NewTokens() *Tokens {
	t := &Tokens{values: map[string]tokenized{}, bodies: map[tokenized]issued{}, heads: map[[headSize]byte]bool{}}
	rand.Read(t.key[:]) // never fails
	return t
}

func (t *Tokens) mac(use, typ string, value []byte) []byte {
	m := hmac.New(sha256.New, t.key[:])
	fmt.Fprintf(m, "%s\x00%s\x00%s", use, typ, value)
	return m.Sum(nil)
}

// issue returns the token for a value, with no body if there are too many.
func (t *Tokens) issue(typ string, value []byte) issued {
	t.mu.Lock()
	defer t.mu.Unlock()
	is := t.bodies[tokenized{typ, string(value)}]
	if is.body == "" && len(t.values) < maxTokens && t.size+len(value) <= maxTokenBytes {
		is.body = bodyEncoding.EncodeToString(t.mac("token", typ, value))[:bodySize]
		is.value = string(value)
		v := tokenized{typ, is.value}
		t.values[is.body], t.bodies[v] = v, is
		t.heads[[headSize]byte([]byte(is.body))] = true
		t.size += len(value)
	}
	return is
}

// appendHash appends what stands for a value that is hashed.
func (t *Tokens) appendHash(dst []byte, typ string, value []byte) []byte {
	dst = append(append(append(dst, '['), typ...), '#')
	return append(hex.AppendEncode(dst, t.mac("hash", typ, value)[:8]), ']')
}

func (t *Tokens) lookup(body string) (tokenized, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.values[body]
	return v, ok
}

// none reports whether no token was given out.
func (t *Tokens) none() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.values) == 0
}

// shown reports whether the body of a token that was given out is in text, in upper or lower
// case, whatever stands around it.
func (t *Tokens) shown(text []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.values) == 0 {
		return false
	}
	for end := 0; end < len(text); {
		start := end
		for end < len(text) && letters[text[end]]&^special != 0 {
			end++
		}
		for i := start; i+bodySize <= end; i++ {
			var head [headSize]byte
			for k := range head {
				head[k] = letters[text[i+k]]
			}
			if t.heads[head] {
				if _, ok := t.values[string(bytes.ToLower(text[i:i+bodySize]))]; ok {
					return true
				}
			}
		}
		if end == start {
			end++
		}
	}
	return false
}

// tokenAt is something of the form of a token.
type tokenAt struct {
	start, body, end int // of the whole, and where the body begins
}

// tokenReader reads what has the form of a token in a text, one after the other. Each of
// the two forms is looked for by what it ends in, and where that is next is kept, so all
// of them take time in proportion to the text.
type tokenReader struct {
	text            []byte
	bracket, domain int // the next '>' and shapedDomain, or len(text)
}

func readTokens(text []byte) tokenReader {
	r := tokenReader{text: text}
	r.seekBracket(0)
	r.seekDomain(0)
	return r
}

func (r *tokenReader) seekBracket(from int) { r.bracket = indexByteFrom(r.text, from, '>') }

func (r *tokenReader) seekDomain(from int) {
	if n := bytes.Index(r.text[from:], []byte(shapedDomain)); n >= 0 {
		r.domain = from + n
		return
	}
	r.domain = len(r.text)
}

// next returns the next one, if there is one.
func (r *tokenReader) next() (tokenAt, bool) {
	for r.bracket < len(r.text) || r.domain < len(r.text) {
		end := min(r.bracket, r.domain)
		body := end - bodySize
		isToken := body >= 0 && isBody(r.text[body:end])
		if end == r.domain {
			r.seekDomain(end + 1)
			if isToken {
				return tokenAt{body, body, end + len(shapedDomain)}, true
			}
			continue
		}
		r.seekBracket(end + 1)
		if !isToken || body < 3 || r.text[body-1] != ':' {
			continue
		}
		start := body - 1
		for start > 0 && body-start <= maxType && inType(r.text[start-1]) {
			start--
		}
		if start > 0 && start < body-1 && r.text[start-1] == '<' {
			return tokenAt{start - 1, body, end + 1}, true
		}
	}
	return tokenAt{}, false
}

// holdsToken reports whether something in text has the form of a token.
func holdsToken(text []byte) bool {
	r := readTokens(text)
	_, ok := r.next()
	return ok
}

func isBody(text []byte) bool {
	for _, c := range text {
		if !('a' <= c && c <= 'z' || '2' <= c && c <= '7') {
			return false
		}
	}
	return len(text) == bodySize
}

func inType(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// Restored is a value that was put back in the place of its token.
type Restored struct {
	Type  string
	Value string
}

// A TokenError says why a token was refused. It holds neither the token nor the value.
type TokenError struct{ Reason string }

func (e *TokenError) Error() string { return e.Reason }

var (
	errTokenPart    = &TokenError{"a stand-in such as <email:…> is part of a longer text or a name: pass it as a whole argument, as it was given to you, or leave it out"}
	errTokenShape   = &TokenError{"what a stand-in such as <email:…> is made of is in a text that is none: pass the stand-in as it was given to you, as a whole argument, or leave it out"}
	errTokenUnknown = &TokenError{"a stand-in such as <email:…> is none that was given out in this session: get the value again, and pass the new one"}
	errTokenTool    = &TokenError{"this tool may not get the values behind stand-ins such as <email:…>; redact.restore in the configuration names the tools that may"}
)

// Restore returns the arguments of a call to tool, a JSON value, with the values in
// the place of tokens, and those values. Only whole strings are turned back. Any other
// use of what has the form of a token, and of what a token of the session is made of, is a
// *TokenError, and the call is to be refused. Without tokens in them, the arguments come
// back as they are. So does what looks like a token where none are given out; those that
// were, before the configuration changed, are tokens still.
func (r *Redactor) Restore(raw []byte, tool string, t *Tokens) (out []byte, restored []Restored, err error) {
	if t == nil || !r.settings().wants.lookAlikes && t.none() || !t.mayBeIn(raw) {
		return raw, nil, nil
	}
	// With regard to case, unlike elsewhere: this loosens.
	allowed := slices.ContainsFunc(r.settings().options.Restore, func(p string) bool { return matches(p, tool) })
	last := 0
	for i := 0; i < len(raw); {
		if raw[i] != '"' {
			i++
			continue
		}
		end := stringEnd(raw, i)
		if end < 0 {
			return nil, nil, errNotJSON
		}
		text, err := jsontext.AppendUnquote(nil, raw[i:end])
		if err != nil {
			return nil, nil, errNotJSON
		}
		tokens := readTokens(text)
		at, ok := tokens.next()
		switch {
		case !ok && t.shown(text):
			return nil, nil, errTokenShape
		case !ok:
		case at.start != 0 || at.end != len(text) || nameAt(raw, end):
			return nil, nil, errTokenPart
		default:
			v, known := t.lookup(string(text[at.body : at.body+bodySize]))
			if !known || at.body > 0 && v.typ != string(text[1:at.body-1]) {
				return nil, nil, errTokenUnknown
			}
			if !allowed {
				return nil, nil, errTokenTool
			}
			out = append(out, raw[last:i]...)
			if out, err = jsontext.AppendQuote(out, v.value); err != nil {
				return nil, nil, errors.New("redact: a value behind a stand-in is not text")
			}
			last = end
			restored = append(restored, Restored{v.typ, v.value})
		}
		i = end
	}
	if restored == nil {
		return raw, nil, nil
	}
	return append(out, raw[last:]...), restored, nil
}

// Reveal returns JSON that was redacted for the session with the values in the place of its
// tokens. It is for what has to know which values the agent can pass on now, and where they
// stand, and must not leave. Values that would need escapes stay tokens: nobody can tell how
// deep in JSON within JSON they stand.
func (t *Tokens) Reveal(raw []byte) []byte {
	if t == nil {
		return raw
	}
	var out []byte
	last := 0
	for tokens := readTokens(raw); ; {
		at, ok := tokens.next()
		if !ok {
			break
		}
		v, known := t.lookup(string(raw[at.body : at.body+bodySize]))
		if !known || strings.ContainsFunc(v.value, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError }) {
			continue
		}
		out = append(append(out, raw[last:at.start]...), v.value...)
		last = at.end
	}
	if last == 0 {
		return raw
	}
	return append(out, raw[last:]...)
}

// In reports whether a string in a JSON value has the form of a token, or holds one, or what
// one of the session is made of. It is for what goes to servers where none may go.
func (t *Tokens) In(raw []byte) bool {
	if t == nil || !t.mayBeIn(raw) {
		return false
	}
	for i := 0; i < len(raw); {
		if raw[i] != '"' {
			i++
			continue
		}
		end := stringEnd(raw, i)
		if end < 0 {
			return true
		}
		text, err := jsontext.AppendUnquote(nil, raw[i:end])
		if err != nil || holdsToken(text) || t.shown(text) {
			return true
		}
		i = end
	}
	return false
}

// mayBeIn tells fast that there is no token in JSON, escaped or not.
func (t *Tokens) mayBeIn(raw []byte) bool {
	return bytes.IndexByte(raw, '\\') >= 0 || holdsToken(raw) || t.shown(raw)
}

// appendStandIn appends what stands for a find, without its value: the text needs no
// escaping at any depth of JSON.
func (s *scan) appendStandIn(dst []byte, h *hit, whole bool) []byte {
	if h.detector == detectEncoded || h.detector == detectLookAlike {
		return append(dst, h.own.with...)
	}
	if body := s.token(h, whole); body != "" {
		dst = append(append(append(dst, '<'), h.typ...), ':')
		return append(append(dst, body...), '>')
	}
	if t := s.scope.Tokens; t != nil && whole && h.action == Hash {
		return t.appendHash(dst, h.typ, s.value(h))
	}
	return append(append(append(dst, "[redacted:"...), h.typ...), ']')
}

// token returns the body of the token for a find, or "" if it gets none.
func (s *scan) token(h *hit, whole bool) string {
	t := s.scope.Tokens
	if t == nil || !whole || h.action != Tokenize {
		return ""
	}
	is := t.issue(h.typ, s.value(h))
	if is.body != "" {
		if s.tokenized == nil {
			s.tokenized = make([]Restored, 0, len(s.list))
		}
		s.tokenized = append(s.tokenized, Restored{h.typ, is.value})
	}
	return is.body
}

// typeName makes the name of a rule or type fit into a mask.
func typeName(s string) string {
	for i := range len(s) {
		if !inType(s[i]) {
			return slug(s)
		}
	}
	if s == "" || len(s) > maxType {
		return slug(s)
	}
	return s
}
