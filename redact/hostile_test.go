package redact

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// hostile are texts made to be slow, by what they consist of.
var hostile = map[string]string{
	"a repeated secret":     "a",
	"backslashes":           `\\`,
	"escaped quotes":        `\"`,
	"percent signs":         "%25",
	"percent and escapes":   `%5c%5c\\\\n`,
	"line breaks":           `\n`,
	"indentation":           `\n` + strings.Repeat(" ", 5000),
	"everything":            `a\\\\u0061%2561\n \\\"`,
	"starts of escapes":     `\\u00\\u{0\\x0`,
	"beginnings of secrets": samples(1)[0][:30],
	"colons":                ":",
	"pairs of colons":       "::",
	"schemes":               "://",
	"starts of tokens":      "<a:",
	"ends of tokens":        ">",
	"domains of tokens":     "@token.invalid",
	"tokens":                "<email:aaaaaaaaaaaaaaaaaaaa>",
	"addresses of tokens":   "aaaaaaaaaaaaaaaaaaaa@token.invalid ",
	"small objects":         `{\"id\":48213,\"tags\":[\"red\"],\"at\":\"10:11:12Z\"},`,
	"addresses":             "jane@corp.example ",
	"card numbers":          "4111111111111111,",
	"numbers in lists":      "[4111111111111111,[",
	"base64 of addresses":   base64.StdEncoding.EncodeToString([]byte("jane@corp.example ")),
}

// grows fails where sixteen times the text takes much more than sixteen times the time: what grows
// with the square would take 256 times. As the machine may be busy with something else, the
// shortest of a few times counts.
func grows(t *testing.T, unit string, size int, work func(text string)) {
	t.Helper()
	took := func(size int) time.Duration {
		text := strings.Repeat(unit, size/len(unit)+1)
		start := time.Now()
		work(text)
		return time.Since(start)
	}
	small, large := took(size), took(16*size)
	for range 20 {
		if large < 100*small {
			return
		}
		small, large = min(small, took(size)), min(large, took(16*size))
	}
	t.Errorf("%d bytes take %v, and sixteen times as many take %v", size, small, large)
}

// TestHostileText holds that the time per byte does not grow with the size of a text.
func TestHostileText(t *testing.T) {
	values := append(samples(20), "aaaaaaaaaaaaaaaa", "00000000", "a b c d e f g", "%25%25%25%25", `\\\\\\\\\\`)
	known := with(values...)
	all := made(t, Options{Secrets: Tokenize, PII: map[string]Action{AnyType: Tokenize}, Time: time.Hour, Restore: []string{"*"}})
	for i, v := range values {
		all.Add(fmt.Sprintf("vault:%d#a", i), v)
	}
	for name, unit := range hostile {
		t.Run(name, func(t *testing.T) {
			grows(t, unit, 1<<14, func(text string) {
				raw := []byte(`"` + text + `"`)
				if _, _, err := known.Known(raw); err != nil {
					t.Error(err)
				}
				known.Text(string(raw))
			})
			grows(t, unit, 1<<14, func(text string) {
				session := NewTokens()
				done, err := all.JSON([]byte(`{"a":"`+text+`"}`), Scope{Tool: "a.b", Tokens: session})
				if err != nil {
					t.Error(err)
				}
				session.Reveal(done.Text)
				all.Restore(done.Text, "a.b", session)
				session.In(done.Text)
			})
		})
	}
}

// TestHostileShapes is TestHostileText for documents of many small parts.
func TestHostileShapes(t *testing.T) {
	r := made(t, Options{PII: map[string]Action{AnyType: Tokenize}, Time: time.Hour})
	r.Add("vault:a", "0123456789abcdef")
	for name, unit := range map[string]string{
		"objects":      `{"id":48213,"name":"fox","at":"2025-03-04T10:11:12Z"},`,
		"numbers":      `4111111111111111,`,
		"equal names":  `{"jane@corp.example":1},`,
		"known values": `"0123456789abcdef jane@corp.example",`,
	} {
		t.Run(name, func(t *testing.T) {
			grows(t, unit, 1<<13, func(text string) {
				text = "[" + strings.TrimSuffix(text, ",") + "]"
				if name == "equal names" {
					text = "{" + strings.NewReplacer("[", "", "]", "", "{", "", "}", "").Replace(text) + "}"
				}
				keep := func(raw []byte) (spans []Span) {
					for i := 0; i+4 < len(raw); i += 8 {
						spans = append(spans, Span{i, i + 4})
					}
					return spans
				}
				if _, err := r.JSON([]byte(text), Scope{Keep: keep}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
