package redact

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzRedact holds what is true of any document with all detectors on: it stays JSON of the
// same shape, finds have their places in it, known values do not come through in any
// encoding, and tokens go back to what they were made of.
func FuzzRedact(f *testing.F) {
	for i := range encodings {
		f.Add(`{"a":"jane.doe@corp.example \n"}`, "sec/ret\"value", "before jane@corp.example ", " after", byte(i))
	}
	f.Add(`[1,4111111111111111,{"jane@corp.example":"\\u0041"},{"jane@corp.example":1}]`, "0123456789", `\`, "9", byte(0))
	f.Add(`"\ud83d -----BEGIN RSA PRIVATE KEY-----\nabc"`, "{\"a\":\"bcdef\"}", "", "", byte(1))
	f.Add(`["-----BEGIN PRIVATE KEY-----","MIIEvQIBADANBgkqhkiG9w0BAQEFAASC","-----END PRIVATE KEY-----"]`, "abcdefgh", "+49 30 ", "x", byte(2))
	f.Add(`["<email:aaaaaaaaaaaaaaaaaaaa>","cGFzc3dvcmQ6IGphbmVAY29ycC5leGFtcGxl","a%40corp.example?x=jane%40corp.example"]`, "abcdefgh", "", "", byte(3))
	actions := []Action{Mask, Hash, Tokenize}
	f.Fuzz(func(t *testing.T, doc, secret, before, after string, which byte) {
		action := actions[int(which)%len(actions)]
		r := made(t, Options{Secrets: action, PII: map[string]Action{AnyType: action}, Restore: []string{"a.b"}, Time: time.Minute,
			Custom: []Custom{{Name: "word", Pattern: `\bEMP-\d+`, Then: action}}})
		r.Add("vault:known", secret)
		lax := []jsontext.Options{jsontext.AllowInvalidUTF8(true)}

		if raw := jsontext.Value(doc); raw.IsValid(lax...) {
			session := NewTokens()
			done, err := r.JSON(raw, Scope{Tool: "a.b", Tokens: session})
			if err != nil {
				t.Fatalf("%q: %v", doc, err)
			}
			if !jsontext.Value(done.Text).IsValid(lax...) {
				t.Fatalf("%q became %q", doc, done.Text)
			}
			if was, is := kindsOf(raw), kindsOf(done.Text); was != is {
				t.Fatalf("%q became %q: of another shape", doc, done.Text)
			}
			last := 0
			for _, find := range done.Finds {
				if find.Start < last || find.End < find.Start || find.End > len(doc) {
					t.Fatalf("%q has a find at %d to %d, after one at %d", doc, find.Start, find.End, last)
				}
				last = find.Start
			}
			if again, _, err := r.Restore(done.Text, "a.b", session); err == nil && !jsontext.Value(again).IsValid(lax...) {
				t.Fatalf("%q became %q, which is restored as %q", doc, done.Text, again)
			} else if err != nil && !errors.As(err, new(*TokenError)) && utf8JSON(done.Text) {
				t.Fatalf("%q became %q, which cannot be restored: %v", doc, done.Text, err)
			}
			r.Restore(raw, "a.b", session)
		}
		r.Text(doc)
		if Short(secret) || strings.TrimSpace(secret) != secret || strings.ContainsAny(secret, "\r\n") {
			return
		}
		if !jsontext.Value(`"`+quoted(secret)+`"`).IsValid() || quoted(secret) != quoted(strings.ToValidUTF8(secret, "")) {
			return // not UTF-8
		}
		e := encodings[int(which)%len(encodings)]
		if !e.finds(secret) {
			return
		}
		raw := []byte(`{"x":["` + quoted(e.in(before, secret, after)) + `",-1.50e3] }`)
		done, err := r.JSON(raw, Scope{})
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		// A mask may spell a short secret itself, or a piece of one that detectors cut.
		if out := decoded(done.Text); holds(out, secret, e.encode(secret)) && !strings.Contains(masksOf(out)+"-1.50e3", secret) {
			t.Fatalf("%s of %q is still there: %s", e.name, secret, done.Text)
		}
	})
}

func utf8JSON(raw []byte) bool { return jsontext.Value(raw).IsValid() }

// kindsOf returns the shape of a document: a character for each token, where a number may
// become a text.
func kindsOf(raw []byte) string {
	var kinds strings.Builder
	dec := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return kinds.String()
		}
		kind := byte(token.Kind())
		if kind == '0' {
			kind = '"'
		}
		kinds.WriteByte(kind)
	}
}

// masksOf returns the masks in a text.
func masksOf(text string) string {
	var all strings.Builder
	for _, part := range strings.Split(text, "[")[1:] {
		mask, _, _ := strings.Cut(part, "]")
		all.WriteString("[" + mask + "]")
	}
	return all.String()
}
