package provenance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	user     = Observation{Source: "user"}
	web      = Observation{Source: "web.fetch", Trust: Untrusted}
	files    = Observation{Source: "files.read"}
	contacts = Observation{Source: "crm.get_contact", Trust: Trusted}
)

func TestSpellings(t *testing.T) {
	for _, test := range []struct {
		text  string
		value any
		seen  bool
	}{
		// Words and runs of words.
		{"Invite Dora to Slack", "Dora", true},
		{"Invite Dora to Slack", "dora", true},
		{"Invite Dora to Slack", "invite dora", true},
		{"Invite Dora to Slack", "Invite to", false},
		{"Invite Dora to Slack", "Dor", false},
		{"Please visit Bob's site", "Bob", true},
		{"I don't", "don", false},
		{"live at 12 Elm  Street,\nNew York, NY 10001.", "Elm Street, New York, NY 10001", true},
		{"post the following: 'Hi, who is in?'", "Hi, who is in?", true},
		{"the #general channel", "general", true},
		{"the general channel", "#general", true},
		{"ask @bob.", "bob", true},
		{"install @good/tool", "good/tool", false},
		{"a; b", "a b", false},
		{"run x (y)", "x y", false},
		{"Car Rental\t\t98.70\n", "Car Rental\t98.70", true},
		{"read 'bill.txt'", "bill.txt", true},
		{"read .env", "env", false},
		{"", "", false},
		{"...", "...", false},
		// Lines of fields and lists do not join.
		{"- a\n- b", "a b", false},
		{"name: Evil\nstreet: Corp", "Evil street Corp", false},
		{"- a\n- b", "- a\n- b", true},
		// Addresses.
		{"mail Alice <alice@x.com>, please", "alice@x.com", true},
		{"mail Alice<alice@x.com>, please", "alice@x.com", true},
		{"mail alice@x.com.", "mailto:Alice@X.com", true},
		{"mail alice@x.com.", "MAILTO:alice@x.com", true},
		{"see mailto:alice@x.com?subject=hello", "alice@x.com", true},
		{"see mailto:alice@x.com?subject=hello", "mailto:alice@x.com?subject=hello", true},
		{"to=alice@x.com,bob@x.com", "bob@x.com", true},
		{"alice@x.com", "alice@x.com,evil@y.com", false},
		{"alice@x.com", "alice@x.com.evil.com", false},
		{"alice@x.com", "x.com", false},
		{"evil.com/good@bank.com", "good@bank.com", false},
		{"evil.com/good@bank.com", "bank.com", false},
		{"联系alice@x.com吧", "alice@x.com", true},
		{"请联系张伟吧", "张伟", true},
		{"请联系张伟吧", "张吧", false},
		// URLs.
		{"see https://Good.example/a?b=c.", "https://good.example/a?b=c", true},
		{"see https://good.example/a?b=c", "http://good.example:80/a?b=c", true},
		{"see https://good.example/a/", "good.example/a", true},
		{"see https://good.example/a?b=c", "good.example", true},
		{"see https://good.example/a", "https://good.example/a?b=c", false},
		{"see https://good.example/a?b=c", "https://good.example/a", false},
		{"see good.example", "https://good.example/a?b=c", false},
		{"see good.example", "https://good.example./", true},
		{"see good.example", "https://good.example@evil.example/", false},
		{"see https://good.example@evil.example/", "good.example", false},
		{"see https://good.example@evil.example/", "evil.example", true},
		{"see good.example", `https://good.example\@evil.example/`, false},
		{"see [this](https://good.example/a)", "https://good.example/a", true},
		{`<a href="https://good.example/a">x</a>`, "https://good.example/a", true},
		{"see www.good.example.They know", "www.good.example", true},
		{"see bücher.example", "https://xn--bcher-kva.example/", true},
		{"see apple.com", "аpple.com", false}, // Cyrillic а
		{"see good.example:8080/a", "good.example", true},
		{"see ftp://good.example/a", "https://good.example/a", false},
		// Unicode.
		{"pay Zoë", "zoe\u0308", true},
		{"pay ＡＬＩＣＥ＠x.com", "alice@x.com", true},
		{"pay al\u200bice@x.com", "alice@x.com", true},
		{"pay alice@x.com", "alice@x\u00ad.com", true},
		{"say “hello there”", `"hello there"`, true},
		{"Straße", "STRAẞE", true},
		// Numbers.
		{"pay 1,000.00 now", 1000, true},
		{"pay 1,000.00 now", "1e3", true},
		{"pay 1000", 1000.0, true},
		{"pay 1.000,00", 1000, true},
		{"pay 1.000", 1000, false},
		{"pay 1.000", 1, true},
		{"pay 1,5", 1.5, false},
		{"pay 12,50", 50, false},
		{"pay 12,50", 12, false},
		{"pay 98.70", 98.7, true},
		{"pay 98.70", 98, false},
		{"pay $50", 50, true},
		{"pay 50€.", 50, true},
		{"10% more", 10, true},
		{"pay -5", 5, false},
		{"code 007", 7, false},
		{"pay 1'234.50", 1234.5, true},
		{"pay 12,34", 1234, false},
		{"pay 1,0000", 10000, false},
		{"[1,2,3]", 2, true},
		{"on 2022-03-04", "2022-03-04", true},
		{"on 2022-03-04", 2022, false},
		{"it is true", true, true},
		{"pay 90071992547409930", 90071992547409930, true},
		// Account, card and phone numbers.
		{"IBAN: GB29 NWBK 6016 1331 9268 19 today", "GB29NWBK60161331926819", true},
		{"IBAN: GB29NWBK60161331926819", "GB29 NWBK 6016 1331 9268 19", true},
		{"IBAN:GB29NWBK60161331926819", "gb29nwbk60161331926819", true},
		{"IBAN: GB29 NWBK 6016 1331 9268 19", "GB29NWBK601613319268", true}, // where a group ends
		{"IBAN: GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926818", false},
		{"call +41 79 123 45 67 now", "+41791234567", true},
		{"call (555) 123-4567", "555-123-4567", true},
		{"card 4111 1111 1111 1111", "4111111111111111", true},
		{"100 200 300", "100200300", false},
		{"at 19.2.168.100", "192.168.100", false},
		// JSON.
		{`{"to":"alice@x.com","n":{"a":[12.50,"Elm Street 1"]}}`, "Elm Street 1", true},
		{`{"to":"alice@x.com","n":{"a":[12.50,"Elm Street 1"]}}`, 12.5, true},
		{`{"to":"\u0061lice@x.com"}`, "alice@x.com", true},
		{`{"a":"x","b":"y"}`, "x y", false},
		{`{"a":"{\"to\":\"\\u0061lice@x.com\"}"}`, "alice@x.com", true},
		{`{"a":"x","b":"y"}`, `{"a":"x","b":"y"}`, true},
		{`{"a":"x","b":null}`, "null", false},
		{"{'message': 'Sent to Bob Smith for 4.0.'}", "Bob Smith", true},
		{"- body: Hi\\nBob\n  to: x", "Bob", true},
	} {
		m := New(Options{})
		m.Text(user, test.text)
		o := m.Lookup(test.value)
		if o.Seen != test.seen || o.Trusted != test.seen || o.Tainted {
			t.Errorf("%#v in %q: %+v, want seen %v", test.value, test.text, o, test.seen)
		}
	}
}

// TestMailto shows that an address vouches for no link to it that can name others.
func TestMailto(t *testing.T) {
	for _, query := range []string{
		"?bcc=evil@x.com", "?cc=evil@x.com", "?to=evil@x.com", "?BCC=evil@x.com", "?subject=a&bcc=evil@x.com", "?subject=a&amp;bcc=evil@x.com",
		"?bcc=evil%40x.com", "?%62cc=evil@x.com", "?subject=a%26bcc=evil@x.com", "?body=the%20secret", "?subject=the-secret", "?", "?subject",
		",evil@x.com", "%2Cevil@x.com", ";evil@x.com", "#evil@x.com", "/evil@x.com",
	} {
		for _, scheme := range []string{"mailto:", "MailTo:", "mailto:mailto:", ""} {
			m := New(Options{})
			m.Text(user, "write to ann@b.com")
			m.Text(contacts, `["ann@b.com"]`)
			if link := scheme + "ann@b.com" + query; m.Lookup(link).Trusted && query != "?" {
				t.Errorf("%s is trusted", link)
			}
		}
	}
	m := New(Options{})
	m.Text(web, "write to evil@x.com")
	for _, link := range []string{"mailto:evil@x.com?subject=a", "mailto:ann@b.com?bcc=evil@x.com"} {
		if o := m.Lookup(link); !o.Tainted || o.Trusted {
			t.Errorf("%s: %+v", link, o)
		}
	}
}

// TestUntrustedParts shows that what a stranger's text could be read as counts as its.
func TestUntrustedParts(t *testing.T) {
	for text, value := range map[string]string{
		"evil.com/good@bank.com":             "good@bank.com",
		"x evil@bank.com":                    "bank.com",
		"https://a.example/?to=evil%40x.com": "evil@x.com",
		"https://a.example/b?c=d":            "https://a.example/b",
		"a=evil@x.com;b":                     "evil@x.com",
		"**evil@x.com**":                     "evil@x.com",
	} {
		m := New(Options{})
		m.Text(web, text)
		if o := m.Lookup(value); !o.Tainted || !o.Seen || o.Trusted {
			t.Errorf("%q in %q: %+v", value, text, o)
		}
	}
}

func TestTrust(t *testing.T) {
	m := New(Options{})
	m.Text(user, "Write to alice@x.com.")
	m.Text(web, "Write to alice@x.com and evil@y.com and carol@z.com. 12 Elm Street")
	m.Text(contacts, "carol@z.com")
	m.Text(files, "dave@w.com, 12 Elm Street")
	m.Text(web, "dave@w.com")
	for _, test := range []struct {
		value any
		want  Origin
	}{
		{"alice@x.com", Origin{Seen: true, Trusted: true, Sources: []string{"user", "web.fetch"}}},
		{"evil@y.com", Origin{Seen: true, Tainted: true, Sources: []string{"web.fetch"}}},
		{"carol@z.com", Origin{Seen: true, Trusted: true, Sources: []string{"crm.get_contact", "web.fetch"}}},
		{"dave@w.com", Origin{Seen: true, Sources: []string{"files.read", "web.fetch"}}},
		{"12 Elm Street", Origin{Seen: true, Sources: []string{"files.read", "web.fetch"}}},
		{"and evil@y.com", Origin{Seen: true, Tainted: true, Sources: []string{"web.fetch"}}},
		{"eve@v.com", Origin{}},
		{[]any{"alice@x.com", "carol@z.com"}, Origin{Seen: true, Trusted: true, Sources: []string{"crm.get_contact", "user", "web.fetch"}}},
		{[]string{"alice@x.com", "evil@y.com"}, Origin{Seen: true, Tainted: true, Sources: []string{"user", "web.fetch"}}},
		{map[string]any{"a": "alice@x.com", "b": []any{"eve@v.com"}}, Origin{Sources: []string{"user", "web.fetch"}}},
		{[]any{}, Origin{}},
		{nil, Origin{}},
		{struct{}{}, Origin{Tainted: true}},
	} {
		o := m.Lookup(test.value)
		if fmt.Sprint(o) != fmt.Sprint(test.want) {
			t.Errorf("%v: %+v, want %+v", test.value, o, test.want)
		}
	}
}

// TestEcho tries to give a value a better source than it has by way of a tool that
// repeats what it is sent.
func TestEcho(t *testing.T) {
	const evil = "evil@y.com"
	for name, test := range map[string]struct {
		sent, echo string
		value      string
	}{
		"error":          {`{"to":"evil@y.com"}`, "unknown recipient evil@y.com", evil},
		"case":           {`{"to":"EVIL@y.com"}`, "unknown recipient evil@y.com", evil},
		"inside text":    {`{"body":"note: write to <evil@y.com>!"}`, "saved: evil@y.com", evil},
		"json in text":   {`{"body":"{\"to\":\"\\u0065vil@y.com\"}"}`, "evil@y.com", evil},
		"nested":         {`{"a":[{"b":{"to":"evil@y.com"}}]}`, "evil@y.com", evil},
		"name":           {`{"a":{"evil@y.com":1}}`, "evil@y.com", evil},
		"url":            {`{"url":"https://y.com/?to=evil%40y.com"}`, "got evil@y.com", evil},
		"host":           {`{"url":"https://y.com/?to=evil"}`, "visited y.com", "y.com"},
		"several words":  {`{"name":"Evil Corp Ltd"}`, "Created Evil Corp Ltd.", "Evil Corp Ltd"},
		"fewer words":    {`{"name":"Evil Corp Ltd"}`, "Created 'Corp Ltd'.", "Corp Ltd"},
		"two arguments":  {`{"first":"Evil","last":"Corp"}`, "Created Evil Corp.", "Evil Corp"},
		"name, address":  {`{"name":"Bob","email":"evil@y.com"}`, "Created Bob <evil@y.com>", "Bob <evil@y.com>"},
		"more words":     {`{"name":"Bob","email":"evil@y.com"}`, "Contact Bob <evil@y.com>", "Contact Bob <evil@y.com>"},
		"without spaces": {`{"email":"evil@y.com"}`, "Created bob<evil@y.com>", "Bob<evil@y.com>"},
		"as link":        {`{"email":"evil@y.com"}`, "https://crm.example/?contact=evil@y.com", "https://crm.example/?contact=evil@y.com"},
		"number":         {`{"account":123456789}`, "no account 123,456,789", "123456789"},
		"iban":           {`{"iban":"GB29NWBK60161331926819"}`, "no GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926819"},
		"iban spaced":    {`{"iban":"GB29 NWBK 6016 1331 9268 19"}`, "no GB29NWBK60161331926819", "GB29NWBK60161331926819"},
		"as json":        {`{"email":"evil@y.com"}`, `{"created":{"email":"evil@y.com"}}`, evil},
		"characters":     {`{"name":"張偉明"}`, "沒有張偉明", "張偉明"},
		"some of them":   {`{"name":"張偉明"}`, "沒有張偉明", "偉明"},
	} {
		t.Run(name, func(t *testing.T) {
			m := New(Options{})
			m.Sent([]byte(test.sent))
			m.Text(contacts, test.echo)
			m.Text(files, test.echo)
			if o := m.Lookup(test.value); o.Seen || o.Trusted || o.Tainted {
				t.Errorf("made up, sent, echoed: %+v", o)
			}
			m.Text(user, "use "+test.value)
			if o := m.Lookup(test.value); !o.Trusted {
				t.Errorf("then named by the user: %+v", o)
			}

			m = New(Options{})
			m.Text(web, "see "+test.value)
			before := m.Lookup(test.value)
			if !before.Tainted {
				t.Errorf("from a stranger: %+v", before)
			}
			m.Sent([]byte(test.sent))
			m.Text(contacts, test.echo)
			m.Text(files, test.echo)
			if o := m.Lookup(test.value); !o.Tainted || o.Trusted {
				t.Errorf("from a stranger, sent, echoed: %+v", o)
			}

			m = New(Options{})
			m.Text(contacts, test.echo)
			m.Text(user, "see "+test.value)
			m.Sent([]byte(test.sent))
			m.Text(web, test.echo)
			if o := m.Lookup(test.value); !o.Trusted {
				t.Errorf("trusted, sent, echoed by a stranger: %+v", o)
			}
		})
	}
}

// TestNewsAfterSent shows that what was not sent counts as ever.
func TestNewsAfterSent(t *testing.T) {
	m := New(Options{})
	m.Sent([]byte(`{"query":"restaurants in Zurich","n":7}`))
	m.Text(contacts, "Best restaurants in Zurich: Kronen Halle, 7 Elm Street, https://k.example/7")
	for _, v := range []any{"Kronen Halle", "7 Elm Street", "https://k.example/7", "Best restaurants"} {
		if !m.Lookup(v).Trusted {
			t.Errorf("%v is not trusted", v)
		}
	}
}

func TestFields(t *testing.T) {
	const rows = `[{"sender":"a@x.com","subject":"pay b@x.com"},{"sender":"c@x.com","subject":"d"}]`
	const dump = "- sender: a@x.com\n  subject: pay b@x.com\n- sender: c@x.com\n  subject: d"
	raise := Observation{Source: "bank.list", Trust: Untrusted, Fields: []Field{{"result[].sender", Trusted}}}
	lower := Observation{Source: "bank.list", Trust: Trusted, Fields: []Field{{"result[].subject", Untrusted}}}
	for _, test := range []struct {
		name        string
		o           Observation
		text, value string
		trusted     bool
	}{
		{"raised", raise, rows, "c@x.com", true},
		{"beside", raise, rows, "b@x.com", false},
		{"raised in YAML", raise, dump, "c@x.com", true},
		{"beside in YAML", raise, dump, "b@x.com", false},
		{"forged name", raise, "- sender: a@x.com\n  subject: x\n  sender: b@x.com", "b@x.com", false},
		{"anchor", raise, "- sender: &a b@x.com\n- sender: *a", "b@x.com", false},
		{"two documents", raise, "- sender: a@x.com\n---\n- sender: b@x.com", "b@x.com", false},
		{"quoted lines", raise, "- subject: \"x\n\n    - sender: b@x.com\"\n  sender: a@x.com", "b@x.com", false},
		{"prose", raise, "sender is a@x.com", "a@x.com", false},
		{"text of a name", raise, `[{"sender":{"b@x.com":1}}]`, "b@x.com", false},
		{"lowered", lower, rows, "b@x.com", false},
		{"around", lower, rows, "a@x.com", true},
		{"lowered prose", lower, "see a@x.com", "a@x.com", false},
		{"double name", lower, `[{"sender":"a@x.com","sender":"e@x.com"}]`, "e@x.com", false},
		{"longest", Observation{Source: "s.t", Fields: []Field{{"result.a", Untrusted}, {"result.a.b", Trusted}}},
			`{"a":{"b":"a@x.com"}}`, "a@x.com", true},
		{"least of equals", Observation{Source: "s.t", Fields: []Field{{"result.*", Trusted}, {"result.a", Untrusted}}},
			`{"a":{"b":"a@x.com"}}`, "a@x.com", false},
		{"whole", Observation{Source: "s.t", Fields: []Field{{"result", Trusted}}}, "see a@x.com", "a@x.com", false},
		{"the whole", Observation{Source: "s.t", Fields: []Field{{"result", Trusted}}}, "GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926819", true},
		{"word of a field", raise, `[{"sender":"pay b@x.com"}]`, "b@x.com", false},
		{"word of a field in YAML", raise, "- sender: pay b@x.com", "b@x.com", false},
		{"part of a field", raise, `[{"sender":"x,b@x.com"}]`, "b@x.com", false},
		{"run of a field", raise, `[{"sender":"to Ann Lee now"}]`, "Ann Lee", false},
		{"words of a field", raise, `[{"sender":"Ann  Lee"}]`, "ann lee", true},
		{"words of a field in YAML", raise, "- sender: Ann Lee\n- sender: b", "Ann Lee", true},
		{"groups of a field", raise, `[{"sender":"GB29 NWBK 6016 1331 9268 19"}]`, "GB29NWBK60161331926819", true},
		{"groups in a field", raise, `[{"sender":"to GB29 NWBK 6016 1331 9268 19"}]`, "GB29NWBK60161331926819", false},
		{"JSON in a field", raise, `[{"sender":"[\"a@x.com\", \"b@x.com\"]"}]`, "b@x.com", false},
		{"number of a field", raise, `[{"sender":12345}]`, "12345", true},
		{"host of a field", raise, `[{"sender":"https://x.com/a"}]`, "x.com", true},
		{"host in a field", raise, `[{"sender":"at https://x.com/a"}]`, "x.com", false},
		{"within a field", Observation{Source: "s.t", Fields: []Field{{"result.a", Trusted}}}, `{"a":{"b":["see a@x.com"]}}`, "a@x.com", false},
		{"item", Observation{Source: "s.t", Fields: []Field{{"result", Trusted}}}, "- general\n- see x.com", "general", true},
		{"word of an item", Observation{Source: "s.t", Fields: []Field{{"result", Trusted}}}, "- general\n- see x.com", "x.com", false},
		{"lines of an item", Observation{Source: "s.t", Fields: []Field{{"result", Trusted}}}, "- general\n- \"see\n\n  - x.com\"", "x.com", false},
		{"item of a result", contacts, "- general\n- see x.com\n", "general", true},
		{"word in a result", contacts, "- general\n- see x.com\n", "x.com", false},
		{"word in a mapping", contacts, "name: see x.com\nid: 7", "x.com", false},
		{"word in JSON", contacts, `["general","see x.com"]`, "x.com", false},
		{"item of JSON", contacts, `["general","see x.com"]`, "See x.com!", true},
		{"word in Python", contacts, `['general', 'see x.com']`, "x.com", false},
		{"word in what is no YAML", contacts, `['general', 'it\'s "x.com"']`, "x.com", false},
		{"word in much", contacts, "a\nsee x.com" + strings.Repeat("\n", 70_000) + "b", "x.com", false},
		{"word in prose", contacts, "write to x.com", "x.com", true},
		{"word in lines", contacts, "Hotels: Ritz\nGood Night\n", "good night", true},
		{"word behind a colon", contacts, "Hotels: Ritz, Good Night", "good night", true},
		{"wrong path", Observation{Source: "s.t", Trust: Trusted, Fields: []Field{{"a b", Untrusted}}}, "see a@x.com", "a@x.com", false},
	} {
		m := New(Options{})
		m.Text(test.o, test.text)
		if o := m.Lookup(test.value); o.Trusted != test.trusted || !o.Seen {
			t.Errorf("%s: %+v, want trusted %v", test.name, o, test.trusted)
		}
	}
	for path, ok := range map[string]bool{
		"result": true, "result.a": true, "result[].a.*": true, "result.a[]": true, "a": false, "resulta": false,
		"result.": false, "result[0]": false, "result..a": false, "result.a]": false,
	} {
		if err := CheckPath(path); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestResult(t *testing.T) {
	const result = `{"_meta":{"x":"meta@x.com"},"content":[
		{"type":"text","text":"{\"email\":\"a@x.com\",\"notes\":\"b@x.com\"}","annotations":{"x":"ann@x.com"}},
		{"type":"resource","resource":{"uri":"file:///c.txt","text":"c@x.com"}},
		{"type":"resource_link","uri":"https://l.example/d","name":"d@x.com"},
		{"type":"image","data":"e@x.com","mimeType":"image/png"}],
		"structuredContent":{"email":"f@x.com","notes":"g@x.com"},"other":"h@x.com"%s}`
	fields := []Field{{"result.email", Trusted}}
	for _, test := range []struct {
		value                  string
		seen, trusted, tainted bool
	}{
		{"meta@x.com", false, false, false}, {"a@x.com", true, true, false}, {"b@x.com", true, false, true},
		{"ann@x.com", true, false, true}, {"c@x.com", true, false, true}, {"file:///c.txt", true, false, true},
		{"https://l.example/d", true, false, true}, {"d@x.com", true, false, true}, {"e@x.com", false, false, false},
		{"f@x.com", true, true, false}, {"g@x.com", true, false, true}, {"h@x.com", true, false, true},
	} {
		for _, isError := range []bool{false, true} {
			m := New(Options{})
			end := ""
			if isError {
				end = `,"isError":true`
			}
			m.Result(Observation{Source: "crm.get", Trust: Untrusted, Fields: fields}, fmt.Appendf(nil, result, end))
			o := m.Lookup(test.value)
			if o.Seen != test.seen || o.Trusted != (test.trusted && !isError) || o.Tainted != test.tainted {
				t.Errorf("%s, error %v: %+v", test.value, isError, o)
			}
		}
	}
}

func TestFlood(t *testing.T) {
	m := New(Options{MaxValues: 400})
	m.Text(user, "Pay alice@x.com at 12 Elm Street")
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "junk%d@y.com 12 Elm Street no%d ", i, i)
	}
	for _, o := range []Observation{web, files, contacts} {
		m.Text(o, b.String()+"evil@y.com")
	}
	if s := m.Stats(); s.Values > 400 || s.Words > 1600 || !s.Full {
		t.Errorf("the memory holds %+v", s)
	}
	if o := m.Lookup("evil@y.com"); o.Seen || o.Trusted || !o.Tainted {
		t.Errorf("what was dropped: %+v", o)
	}
	for _, v := range []string{"alice@x.com", "12 Elm Street", "Pay alice@x.com at 12 Elm Street"} {
		if o := m.Lookup(v); !o.Trusted || o.Tainted {
			t.Errorf("%s: %+v", v, o)
		}
	}
	m.Text(user, "and bob@x.com on 5 Main Street")
	for _, v := range []string{"bob@x.com", "5 Main Street"} {
		if o := m.Lookup(v); !o.Trusted {
			t.Errorf("said after the flood: %+v", o)
		}
	}
}

func TestManySources(t *testing.T) {
	a, b := New(Options{}), New(Options{})
	for i := range 100 {
		a.Text(Observation{Source: fmt.Sprintf("s.t%02d", i), Trust: Untrusted}, "x@y.com")
		b.Text(Observation{Source: fmt.Sprintf("s.t%02d", 99-i), Trust: Untrusted}, "x@y.com")
	}
	if o := a.Lookup("x@y.com"); len(o.Sources) != 16 || !slices.IsSorted(o.Sources) || !o.Tainted {
		t.Errorf("%+v", o)
	}
	a.Text(contacts, "x@y.com")
	b.Text(contacts, "x@y.com")
	if x, y := a.Lookup("x@y.com"), b.Lookup("x@y.com"); !x.Trusted || !slices.Equal(x.Sources, y.Sources) {
		t.Errorf("%+v and %+v", x, y)
	}
}

func TestConcurrent(t *testing.T) {
	m := New(Options{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				m.Text(Observation{Source: fmt.Sprint("s.", g), Trust: Untrusted}, fmt.Sprintf("see v%d-%d@x.com now", g, i))
				m.Sent(fmt.Appendf(nil, `{"a":"v%d-%d@x.com"}`, g, i))
				if o := m.Lookup(fmt.Sprintf("v%d-%d@x.com", g, i)); !o.Tainted || len(o.Sources) != 1 {
					t.Errorf("%+v", o)
				}
			}
		})
	}
	wg.Wait()
}

// TestLinkInWord holds that a URL within a word is a value with all of its query.
func TestLinkInWord(t *testing.T) {
	const link = "https://blog.example.com/a?b=1&c=2"
	for _, text := range []string{
		"see [page](" + link + ").", "see url=" + link, "(see <a href='" + link + "'>it</a>)", "![page](" + link + ") | x",
	} {
		m := New(Options{})
		m.Text(web, text)
		if o := m.Lookup(link); !o.Tainted {
			t.Errorf("%s, of a stranger: %+v", text, o)
		}
		m.Text(user, text)
		if o := m.Lookup(link); !o.Trusted {
			t.Errorf("%s, of the user: %+v", text, o)
		}
		for _, other := range []string{link + "3", "https://blog.example.com/a?b=2", "https://blog.example.com/b"} {
			if o := m.Lookup(other); o.Seen {
				t.Errorf("%s: %s is known: %+v", text, other, o)
			}
		}
		m = New(Options{})
		m.Sent([]byte(`{"url":"` + link + `"}`))
		m.Text(contacts, text)
		if o := m.Lookup(link); o.Trusted {
			t.Errorf("%s, echoed: %+v", text, o)
		}
	}
}
