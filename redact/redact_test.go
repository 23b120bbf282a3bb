package redact

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const mask = "[redacted:vault]"

// bare returns a Redactor without detectors.
func bare() *Redactor {
	r, err := New(Options{Secrets: Allow})
	if err != nil {
		panic(err)
	}
	return r
}

func with(values ...string) *Redactor {
	r := bare()
	for i, v := range values {
		r.Add(fmt.Sprintf("vault:secret/test%d#token", i), v)
	}
	return r
}

func TestJSON(t *testing.T) {
	const token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
	const tricky = "p\"a\\ss/wörd & <more>\t😀"
	for _, test := range []struct {
		name    string
		secrets []string
		in      string
		want    string
		finds   int
	}{
		{"clean", []string{token}, `{"a":"ghp_16C7e42F292c6912E7710c838347Ae178B4"}`, ``, 0},
		{"whole string", []string{token}, `"` + token + `"`, `"` + mask + `"`, 1},
		{"inside text", []string{token}, `{"a":["x ` + token + ` y"]}`, `{"a":["x ` + mask + ` y"]}`, 1},
		{"twice in a row", []string{token}, `"` + token + token + `"`, `"` + mask + mask + `"`, 2},
		{"white space stays", []string{token}, " {\n\"a\" :\t1.50e+1 ,\"b\": \"" + token + "\" } \n", " {\n\"a\" :\t1.50e+1 ,\"b\": \"" + mask + "\" } \n", 1},
		{"escapes around stay", []string{token}, `"\u00e9\/\n` + token + `\ud83d\ude00\\"`, `"\u00e9\/\n` + mask + `\ud83d\ude00\\"`, 1},
		{"object name", []string{token}, `{"` + token + `":1}`, `{"` + mask + `":1}`, 1},
		{"equal object names", []string{token, "0123456789abcdef"},
			`{"` + token + `":1,"0123456789abcdef":2,"x":{"0123456789abcdef":[{}]},"` + mask + ` 2":3}`,
			`{"` + mask + `":1,"` + mask + ` 2":2,"x":{"` + mask + `":[{}]},"` + mask + ` 2 2":3}`, 3},
		{"number", []string{"1234567890"}, `{"a":1234567890,"b":-1234567890.5,"c":[91234567890],"d":123456789}`,
			`{"a":"` + mask + `","b":"` + mask + `","c":["` + mask + `"],"d":123456789}`, 3},
		{"escaped", []string{tricky}, `{"a":"<p\"a\\ss\/w\u00F6rd \u0026 <more>\t\uD83D\ude00>"}`, `{"a":"<` + mask + `>"}`, 1},
		{"escaped, every byte", []string{"abcdefgh"}, `"\u0061\u0062\u0063\u0064\u0065\u0066\u0067\u0068\u0069"`, `"` + mask + `\u0069"`, 1},
		{"JSON in JSON in JSON", []string{tricky},
			nest(`"`+quoted(tricky)+`!"`, 2), nest(`"`+mask+`!"`, 2), 1},
		{"base64 in the middle", []string{"hunter2hunter2"},
			`"Basic ` + base64.StdEncoding.EncodeToString([]byte("m:hunter2hunter2")) + `."`, `"Basic bT` + mask + `."`, 1},
		{"base64 with escapes", []string{"\xff\xfe\xfd\xff\xff\xff\xff?"},
			`"\/\/79\/\u002f\u002f\/\/z8="`, `"` + mask + `"`, 1},
		{"base64 in lines", []string{token},
			`"` + strings.ReplaceAll(wrap(base64.StdEncoding.EncodeToString([]byte("AAAAA"+token+"BBB")), 20), "\n", `\r\n`) + `"`, `"QUFBQU` + mask + `\r\nQkJC"`, 1},
		{"a secret in another", []string{token, token[4:20], "x" + token + "x"}, `"-x` + token + `x-"`, `"-` + mask + `-"`, 1},
		{"overlapping secrets", []string{"abcdefghij", "ghijklmnop"}, `"_abcdefghijklmnop_"`, `"_` + mask + `_"`, 1},
		{"a secret that is JSON", []string{`{"user":"bob","pass":"hunter22"}`}, `{"r":{"user":"bob","pass":"hunter22"},"k":1}`,
			`{"r":{"user":"` + mask + `","pass":"` + mask + `"},"k":1}`, 2},
		{"strings of a secret that is JSON", []string{`{"type":"service_account", "private_key": "0123456789abcdef", "uri":"https://example.com/token"}`},
			`["service_account","0123456789abcdef","https://example.com/token"]`, `["service_account","` + mask + `","https://example.com/token"]`, 1},
		{"what follows Bearer", []string{"Bearer " + token}, `"` + token + `"`, `"` + mask + `"`, 1},
		{"the password of a URL", []string{"postgres://app:s3cr3t-p%40ss@db:5432/x"}, `["s3cr3t-p@ss","s3cr3t-p%40ss"]`, `["` + mask + `","` + mask + `"]`, 2},
		{"white space around a value", []string{token + "\n"}, `"` + token + ` "`, `"` + mask + ` "`, 1},
		{"a line of a private key", []string{"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\nVJTUt9Us8cKj\n-----END KEY-----\n"},
			`"> MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n"`, `"> ` + mask + `\n"`, 1},
		{"a secret that is in the mask", []string{"redacted"}, `"redacted"`, `"[masked]"`, 1},
		{"a secret that the mask would complete", []string{"secretword", "abc[redacted"}, `"abcsecretword"`, `"` + mask + `"`, 1},
		{"not ASCII", []string{"clé d'accès"}, `"\u0063lé d'acc\u00E8sé"`, `"` + mask + `é"`, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, finds, err := with(test.secrets...).Known([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			if test.finds == 0 {
				want = test.in
			}
			if string(out) != want || finds != test.finds {
				t.Errorf("got  %s, %d finds\nwant %s, %d finds", out, finds, want, test.finds)
			}
			if !jsontext.Value(out).IsValid() {
				t.Errorf("not valid JSON")
			}
		})
	}
}

func TestMaskNames(t *testing.T) {
	for name, want := range map[string]string{
		"vault:secret/github#token": "[redacted:vault]",
		"env:GITHUB_TOKEN":          "[redacted:env]",
		"plain":                     "[redacted:plain]",
		"":                          "[redacted]",
		`a"b:c`:                     "[redacted]",
	} {
		r := bare()
		r.Add(name, "0123456789")
		if got := r.Text("0123456789"); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
}

func TestAddRemove(t *testing.T) {
	r := bare()
	check := func(want string) {
		t.Helper()
		if got := r.Text("first-value second-value 1234567"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	check("first-value second-value 1234567")
	r.Add("vault:a", "1234567")
	check("first-value second-value 1234567")
	r.Add("vault:a", "first-value")
	r.Add("vault:a", "second-value")
	check("[redacted:vault] [redacted:vault] 1234567")
	r.Add("env:a", "first-value")
	r.Remove("vault:a", "first-value")
	check("[redacted:env] [redacted:vault] 1234567")
	r.Remove("env:a", "first-value")
	r.Remove("env:a", "never added")
	check("first-value [redacted:vault] 1234567")
}

func TestShort(t *testing.T) {
	for value, want := range map[string]bool{"": true, "1234567": true, "12345678": false, " 1234567 \n": true} {
		if got := Short(value); got != want {
			t.Errorf("Short(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestCleanIsNotCopied(t *testing.T) {
	r := with(samples(20)...)
	raw := []byte(`{"text":"a\nb%20c\\n","n":[1,2,3]}`)
	out, finds, err := r.Known(raw)
	if err != nil || finds != 0 || &out[0] != &raw[0] {
		t.Errorf("got %p, %d finds, error %v; want %p itself", out, finds, err, raw)
	}
	if raceEnabled {
		return // the race detector makes sync.Pool drop things at random
	}
	text := string(raw)
	if n := testing.AllocsPerRun(100, func() {
		r.Known(raw)
		r.Text(text)
	}); n != 0 {
		t.Errorf("%v allocations for clean text, want none", n)
	}
}

func TestNotJSON(t *testing.T) {
	if _, _, err := with("0123456789").Known([]byte(`{"a":"0123456789`)); err == nil {
		t.Error("no error for a string that does not end")
	}
}

// TestEverywhere puts secrets at every position of messages around the sizes at
// which the look changes: its step, its group of four, its chunk.
func TestEverywhere(t *testing.T) {
	secret := "9f8b7c6d5e4a39281706"
	r := with(append(samples(20), secret)...)
	for _, form := range []string{secret, quoteAll(secret), `\\\\u0039` + secret[1:], base64.StdEncoding.EncodeToString([]byte("x" + secret))} {
		for _, near := range []int{0, chunkSize, chunkSize + chunkOverlap, 2 * chunkSize} {
			// Seven and the step of eight have no divisor in common.
			for at := max(0, near-130); at < near+10; at += 7 {
				raw := []byte(`"` + strings.Repeat("a", at) + form + strings.Repeat("b", 100) + `\n"`)
				if _, n, err := r.Known(raw); n != 1 || err != nil {
					t.Fatalf("%s at %d: %d finds, error %v", form, at, n, err)
				}
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	r := bare()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 15 {
				secret := fmt.Sprintf("secret-%d-%d", i, j)
				r.Add("vault:x", secret)
				if got := r.Text(secret); got != mask {
					t.Errorf("got %q after Add", got)
				}
				if j%2 == 0 {
					r.Remove("vault:x", secret)
				}
			}
		})
	}
	wg.Wait()
}

func TestText(t *testing.T) {
	r := with("hunter2hunter2", "line one\nline two")
	for in, want := range map[string]string{
		"":                               "",
		"pass=hunter2hunter2;":           "pass=" + mask + ";",
		`{"a":"hunter2\u0068unter2"}`:    `{"a":"` + mask + `"}`,
		"hunter2\n   hunter2":            mask,
		"say line one\r\n\tline two.":    "say " + mask + ".",
		"hunter2%68unter2 100%":          mask + " 100%",
		"hunter2%2568unter2":             mask,
		"hunter2hunter":                  "hunter2hunter",
		"\xff hunter2hunter2 \xfe":       "\xff " + mask + " \xfe",
		"line one\n\n  line two":         mask,
		`C:\hunter2hunter2\n`:            "C:" + mask + `\n`,
		`"\u0000hunter2hunter2"`:         `"\u0000` + mask + `"`,
		`\x68unter2\U00000068unter2`:     mask,
		`\u{68}unter2\u{000068}unter2\u`: mask + `\u`,
	} {
		if got := r.Text(in); got != want {
			t.Errorf("Text(%q)\ngot  %q\nwant %q", in, got, want)
		}
	}
}

// encoding is one way to write a value down, as text that is not yet JSON.
type encoding struct {
	name   string
	encode func(string) string
	escape bool // goes byte by byte, so what is around a value is encoded alike
	loose  bool // is found by the skeleton, for values that have one
}

// in returns the encoded secret with something around it.
func (e encoding) in(before, secret, after string) string {
	if e.escape {
		return e.encode(before + secret + after)
	}
	return before + e.encode(secret) + after
}

// encodings are the usual ones.
var encodings = []encoding{
	{"plain", func(s string) string { return s }, false, false},
	{"JSON", quoted, true, false},
	{"JSON, every byte", quoteAll, true, false},
	{"JSON, upper case", func(s string) string { return strings.ReplaceAll(strings.ToUpper(quoteAll(s)), `\U`, `\u`) }, true, false},
	{"JSON, slashes", func(s string) string { return strings.ReplaceAll(quoted(s), "/", `\/`) }, true, false},
	{"JSON in JSON", func(s string) string { return quoted(quoted(s)) }, true, false},
	{"base64", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }, false, false},
	{"base64, URL", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }, false, false},
	{"base64 after one", func(s string) string { return base64.StdEncoding.EncodeToString([]byte("u" + s + "etc")) }, false, false},
	{"base64 after two", func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte("u:" + s + "e")) }, false, false},
	{"base64 of JSON", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(`{"k":"` + quoted(s) + `"}`)) }, false, false},
	{"base64, 76 columns", func(s string) string {
		return wrap(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 50)+s)), 76)
	}, false, false},
	{"base64, 8 columns, CRLF", func(s string) string {
		return strings.ReplaceAll(wrap(base64.StdEncoding.EncodeToString([]byte(s)), 8), "\n", "\r\n  ")
	}, false, false},
	{"hex", func(s string) string { return hex.EncodeToString([]byte(s)) }, false, false},
	{"hex, upper case", func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }, false, false},
	{"hex, 32 columns", func(s string) string { return wrap(hex.EncodeToString([]byte(s)), 32) }, false, false},
	{"query", url.QueryEscape, true, false},
	{"path", url.PathEscape, true, false},
	{"percent, every byte", func(s string) string { return percentAll(s, "%%%02X") }, true, false},
	{"percent, lower case", func(s string) string { return percentAll(s, "%%%02x") }, true, false},
	{"percent twice", func(s string) string { return url.QueryEscape(url.PathEscape(s)) }, true, false},
	{"HTML", html.EscapeString, true, false},
	{"HTML, every character", func(s string) string { return percentAll(s, "&#%d;") }, true, true},
	{"HTML, some characters", func(s string) string {
		return strings.NewReplacer("&", "&amp;", "/", "&#x2F;", "+", "&#43;", "=", "&equals;", "_", "&lowbar;", "@", "&commat;").Replace(s)
	}, true, false},
	{"octal", func(s string) string { return percentAll(s, `\%03o`) }, true, false},
	{"wrapped", func(s string) string { return wrap(s, 5) }, false, false},
	{"wrapped by a shell", func(s string) string { return chunked(quoteShell(s), 9, "\\\n") }, true, true},
	{"base64 twice", func(s string) string { return b64(b64(s)) }, false, false},
	{"base64 of percent", func(s string) string { return b64(percentAll(s, "%%%02X")) }, false, false},
	{"base64 of hex", func(s string) string { return b64(hex.EncodeToString([]byte(s))) }, false, false},
	{"base64 behind a path", func(s string) string { return "files/x/" + b64("key: "+b64(s)+" of this") }, false, false},
	{"base64 in bytes that are none", func(s string) string {
		return b64(strings.Repeat("\xff\x80\x91", 100) + "the key is " + b64(s) + " of this one" + strings.Repeat("\xff\x80\x91", 100))
	}, false, false},
	{"base64 of UTF-16", func(s string) string { return b64(utf16Spellings(s)[0]) }, false, false},
	{"hex of base64", func(s string) string { return hex.EncodeToString([]byte(b64(s))) }, false, true},
	{"hex in pairs", func(s string) string { return chunked(hex.EncodeToString([]byte(s)), 2, " ") }, false, true},
	{"hex with colons", func(s string) string { return chunked(hex.EncodeToString([]byte(s)), 2, ":") }, false, true},
	{"bytes in C", func(s string) string { return percentAll(s, "0x%02x, ") }, false, true},
	{"bytes in decimal", func(s string) string { return percentAll(s, "%d, ") }, false, true},
	{"base32", func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) }, false, true},
	{"base32 in the middle", func(s string) string {
		return strings.ToLower(base32.StdEncoding.EncodeToString([]byte("key " + s + "!!")))
	}, false, true},
	{"quoted-printable", func(s string) string { return percentAll(s, "=%02X") }, true, false},
	{"quoted-printable, broken", func(s string) string { return chunked(strings.ReplaceAll(s, "=", "=3D"), 6, "=\n") }, true, true},
	{"UTF-16", func(s string) string { return utf16Spellings(s)[0] }, false, true},
	{"full width", fullWidth, true, true},
	{"upper case", strings.ToUpper, true, true},
	{"lower case", strings.ToLower, true, true},
	{"spaces", func(s string) string { return chunked(s, 4, " ") }, false, true},
	{"quotation", func(s string) string { return chunked(s, 9, "\n> ") }, false, true},
	{"comment", func(s string) string { return chunked(s, 9, "\n\t// ") }, false, true},
	{"listing", func(s string) string { return chunked(s, 9, "\n  12| ") }, false, true},
	{"strings put together", func(s string) string { return chunked(s, 9, "\" + \n\t\"") }, false, true},
	{"no width", func(s string) string { return chunked(s, 3, "\u200b") }, false, true},
	{"soft hyphens", func(s string) string { return chunked(s, 3, "\u00ad") }, false, true},
	{"colours", func(s string) string { return chunked(s, 5, "\x1b[1;31m") }, false, true},
	{"tags", func(s string) string { return chunked(s, 5, "<wbr>") }, false, true},
	{"carriage returns", func(s string) string { return chunked(s, 5, "\r") }, false, true},
	{"line separators", func(s string) string { return chunked(s, 5, "\u2028") }, false, true},
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// chunked puts sep between every so many characters of s.
func chunked(s string, n int, sep string) string { return strings.ReplaceAll(wrap(s, n), "\n", sep) }

// quoteShell quotes the backslashes of s, so that none goes with what follows.
func quoteShell(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }

func fullWidth(s string) string {
	return strings.Map(func(r rune) rune {
		if '!' <= r && r <= '~' {
			return r - '!' + '\uFF01'
		}
		return r
	}, s)
}

// finds reports whether a value in the encoding is to be found.
func (e encoding) finds(secret string) bool {
	return !e.loose || telling(skeleton(secret))
}

func TestEncodings(t *testing.T) {
	for _, secret := range append(samples(6),
		"12345678", "pässwörter", "with space and/slash", `quo"te\back/slash<&>'`, "\"\"\"\"\"\"\"\"",
		`\\\\\\\\`, "100%41abcd%", "multi\nline\nvalue", "tab\tand\u2028and\u0000nul", "😀😀😀", "+/+/+/+/+/+/", "user:pass@host/?a=b&c",
	) {
		r := with(append(samples(20)[10:], secret)...)
		for _, e := range encodings {
			if !e.finds(secret) {
				continue
			}
			for _, around := range [][2]string{{"", ""}, {"see: ", " end"}, {`\`, `\`}, {"\n", "\n"}, {"%", "%"}} {
				text := e.in(around[0], secret, around[1])
				doc := `{"a":{"text":"` + quoted(text) + `"},"n":1}`
				out, n, err := r.Known([]byte(doc))
				if err != nil || n == 0 {
					t.Errorf("%s of %q is not found in %s: %d finds, error %v", e.name, secret, doc, n, err)
					continue
				}
				if !jsontext.Value(out).IsValid() {
					t.Errorf("%s of %q: not valid JSON any more: %s", e.name, secret, out)
				}
				if holds(decoded(out), secret, e.encode(secret)) {
					t.Errorf("%s of %q is still there: %s", e.name, secret, out)
				}
				if got := r.Text(text); holds(got, secret, e.encode(secret)) {
					t.Errorf("%s of %q is still there in text: %q", e.name, secret, got)
				}
			}
		}
	}
}

func FuzzJSON(f *testing.F) {
	for i := range encodings {
		f.Add(`{"a":"x\n"}`, "sec/ret\"value", "before ", " after", byte(i))
	}
	f.Add(`[1,2,{"k":"\\u0041"}]`, "0123456789", `\`, "9", byte(0))
	f.Add(`"\ud83d"`, "{\"a\":\"bcdef\"}", "", "", byte(1))
	f.Fuzz(func(t *testing.T, doc, secret, before, after string, which byte) {
		const other = "another known secret"
		r := with(secret, other)
		lax := []jsontext.Options{jsontext.AllowInvalidUTF8(true)}

		// Any document stays valid JSON, of the same shape, and what holds nothing stays.
		if raw := jsontext.Value(doc); raw.IsValid(lax...) {
			out, n, err := r.Known(raw)
			if err != nil {
				t.Fatalf("%q: %v", doc, err)
			}
			if !jsontext.Value(out).IsValid(lax...) {
				t.Fatalf("%q became %q", doc, out)
			}
			if n == 0 && string(out) != doc {
				t.Fatalf("%q became %q without a find", doc, out)
			}
			if again, more, _ := r.Known(out); more != 0 {
				t.Fatalf("%q became %q and then %q", doc, out, again)
			}
		}

		if got := r.Text(before + other + after); strings.Contains(got, other) {
			t.Fatalf("%q is still there: %q", other, got)
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
		text := e.in(before, secret, after)
		raw := []byte(`{"before":"` + quoted(before) + `","x":["` + quoted(text) + `",-1.50e3],"k\u0065y":null }`)
		out, n, err := r.Known(raw)
		if err != nil || n == 0 {
			t.Fatalf("%s of %q is not found in %s: %v", e.name, secret, raw, err)
		}
		if !jsontext.Value(out).IsValid() {
			t.Fatalf("%s became %s", raw, out)
		}
		if holds(decoded(out), secret, e.encode(secret)) && !strings.Contains("[redacted:vault] -1.50e3 key null", secret) {
			t.Fatalf("%s of %q is still there: %s", e.name, secret, out)
		}
		if !bytes.HasSuffix(out, []byte(`,-1.50e3],"k\u0065y":null }`)) {
			if clean, k, _ := r.Known([]byte(`[-1.50e3,"k\u0065y",null]`)); k == 0 && len(clean) > 0 && !strings.ContainsAny(secret, `",[]{}:`) {
				t.Fatalf("%s became %s", raw, out)
			}
		}
	})
}

// holds reports whether text shows the secret, in the encoding or plainly.
func holds(text, secret, encoded string) bool {
	return strings.Contains(text, secret) || strings.Contains(text, encoded)
}

// decoded returns every string and number of a document, decoded.
func decoded(doc []byte) string {
	var all strings.Builder
	dec := jsontext.NewDecoder(bytes.NewReader(doc), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return all.String()
		}
		all.WriteString(tok.String())
		all.WriteString("\x00")
	}
}

// nest puts a document into a JSON string, that one into another and so on.
func nest(doc string, times int) string {
	for range times {
		b, err := json.Marshal(doc)
		if err != nil {
			panic(err)
		}
		doc = string(b)
	}
	return doc
}

// quoted returns s as the inside of a JSON string.
func quoted(s string) string {
	b, _ := jsontext.AppendQuote(nil, s)
	return string(b[1 : len(b)-1])
}

// quoteAll returns s as the inside of a JSON string, all in \u escapes.
func quoteAll(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 0x10000 {
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xD800+(r-0x10000)>>10, 0xDC00+(r-0x10000)&0x3FF)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func percentAll(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

func wrap(s string, columns int) string {
	var b strings.Builder
	for i, r := range []rune(s) {
		if i > 0 && i%columns == 0 {
			b.WriteByte('\n')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// secrets returns n different values such as real services hand out.
func samples(n int) []string {
	rng := rand.New(rand.NewPCG(1, 2))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	prefixes := []string{"ghp_", "sk-ant-api03-", "hvs.", "xoxb-", "AKIA", "", "glpat-", ""}
	var list []string
	for i := range n {
		s := prefixes[i%len(prefixes)]
		for range 16 + rng.IntN(32) {
			s += string(alphabet[rng.IntN(len(alphabet))])
		}
		list = append(list, s)
	}
	return list
}
