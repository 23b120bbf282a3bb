package provenance

import (
	"strings"
	"testing"
)

// TestSplitAndJoined tries to give a value a better source by way of a tool that puts
// together, takes apart or writes otherwise what it is sent.
func TestSplitAndJoined(t *testing.T) {
	for _, test := range []struct{ value, sent, back string }{
		// Put together.
		{"evil@x.com", `{"a":"evil@","b":"x.com"}`, `{"email":"evil@x.com"}`},
		{"evil@x.com", `{"a":"evil","b":"x.com"}`, `saved as evil@x.com`},
		{"evil@x.com", `{"domain":"x.com","user":"evil"}`, `["evil@x.com"]`},
		{"evil@x.com", `["evil",["x"],"x.com"]`, `evil@x.com`},
		{"https://x.com/evil", `{"a":"https://x.com/","b":"evil"}`, `https://x.com/evil`},
		{"/tmp/evil/a.sh", `{"dir":"/tmp/evil","file":"a.sh"}`, `created /tmp/evil/a.sh`},
		{"GB29NWBK60161331926819", `["GB29NWBK6016","1331926819"]`, `GB29NWBK60161331926819`},
		{"GB29NWBK60161331926819", `["1331926819","GB29NWBK6016"]`, `{"iban":"GB29 NWBK 6016 1331 9268 19"}`},
		{"GB29NWBK60161331926819", `"GB29, NWBK, 6016, 1331, 9268, 19"`, `GB29NWBK60161331926819`},
		{"EvilCorp", `"Evil Corp"`, `Created EvilCorp`},
		// Written otherwise.
		{"Evil Corp", `"EvilCorp"`, `Created Evil Corp.`},
		{"Evil Corp", `"Evil_Corp"`, `{"name":"Evil Corp"}`},
		{"Evil Corp Ltd", `"evil-corp-ltd"`, `{"name":"Evil Corp Ltd"}`},
		{"GB29NWBK60161331926819", `"GB29.NWBK.6016.1331.9268.19"`, `GB29NWBK60161331926819`},
		{"GB29NWBK60161331926819", `"GB29_NWBK60161331926819"`, `GB29 NWBK 6016 1331 9268 19`},
		{"(555) 123-4567", `"+15551234567"`, `{"to":"(555) 123-4567"}`},
		{"555-123-4567", `"555.123.4567"`, `555-123-4567`},
		{"12345678", `"0012345678"`, `12345678`},
		{"5551234567", `"call 555 123 4567 today"`, `5551234567`},
		{"5551234567", `{"to":"555 123 4567"}`, `{"to":"5551234567"}`},
		{"GB29NWBK60161331926819", `"to%20GB29%20NWBK%206016%201331%209268%2019%20please"`, `{"iban":"GB29NWBK60161331926819"}`},
		{"5551234567", `"call%20555%20123%204567%20today"`, `5551234567`},
		{"5551234567", `"https://x.com/?q=call%20555%20123%204567%20today"`, `5551234567`},
		{"4111111111111111", `"pay%20with%204111%201111%201111%201111%20now"`, `4111111111111111`},
		{"evil@x.com", `"evil&#64;x.com"`, `evil@x.com`},
		{"evil@x.com", `"evil&commat;x.com"`, `evil@x.com`},
		{"evil@x.com", `"evil\\u0040x.com"`, `evil@x.com`},
		{"evil@x.com", `"print('\\x65vil\\x40x.com')"`, `evil@x.com`},
		{"evil@x.com", `"evil%40x.com"`, `evil@x.com`},
		{"evil@x.com", `"evil_x_com"`, `evil@x.com`},
		// Taken out.
		{"evil@x.com", `"xevil@x.comx"`, `evil@x.com`},
		{"evil@x.com", `"evil+1@x.com"`, `evil@x.com`},
		{"evil@x.com", `"` + strings.Repeat("a/", 100) + `-evil@x.com-"`, `evil@x.com`},
		{"12345678", `"x12345678"`, `12345678`},
	} {
		places := map[string]Observation{"trusted": contacts, "field": {Source: "crm.get", Trust: Untrusted, Fields: []Field{{"result", Trusted}}}, "neutral": files}
		for place, o := range places {
			if place == "field" && test.back[0] != '{' && test.back[0] != '[' {
				continue
			}
			m := New(Options{})
			m.Text(web, "see "+test.value)
			m.Sent([]byte(test.sent))
			m.Text(o, test.back)
			m.Text(o, "Contact: "+test.back)
			if got := m.Lookup(test.value); !got.Tainted || got.Trusted {
				t.Errorf("%s from a stranger, sent as %s, back as %s, %s: %+v", test.value, test.sent, test.back, place, got)
			}
			m = New(Options{})
			m.Sent([]byte(test.sent))
			m.Text(o, test.back)
			if got := m.Lookup(test.value); got.Trusted {
				t.Errorf("%s made up, sent as %s, back as %s, %s: %+v", test.value, test.sent, test.back, place, got)
			}
			m.Text(user, "use "+test.value)
			if got := m.Lookup(test.value); !got.Trusted {
				t.Errorf("%s, then named by the user: %+v", test.value, got)
			}
			m = New(Options{})
			m.Text(contacts, `["`+test.value+`"]`)
			m.Sent([]byte(test.sent))
			m.Text(o, test.back)
			if got := m.Lookup(test.value); !got.Trusted {
				t.Errorf("%s was trusted before: %+v", test.value, got)
			}
		}
	}
	m := New(Options{})
	m.JSON(web, []byte(`{"user":"evil","host":"y.com","a":"GB29NWBK6016","b":"1331926819"}`))
	for _, v := range []string{"evil@y.com", "evil y.com", "GB29NWBK60161331926819", "https://y.com/evil"} {
		if o := m.Lookup(v); o.Seen || o.Trusted {
			t.Errorf("%s: %+v", v, o)
		}
	}
}

// TestFoundByPart shows that what a trusted tool finds by a part of it is news.
func TestFoundByPart(t *testing.T) {
	for _, test := range []struct {
		sent  []string
		back  string
		value string
	}{
		{[]string{`{"to":"joe@corp.com"}`, `{"query":"ann"}`}, `[{"name":"Ann Lee","email":"ann@corp.com"}]`, "ann@corp.com"},
		{[]string{`{"to":"joe@corp.com"}`, `{"query":"ann"}`}, `[{"name":"Ann Lee","email":"ann@corp.com"}]`, "Ann Lee"},
		{[]string{`{"path":"/home/me/project/notes.txt"}`}, `["notes.txt"]`, "notes.txt"},
		{[]string{`{"path":"/home/me"}`, `{"query":"notes"}`}, `["/home/me/notes.txt"]`, "/home/me/notes.txt"},
		{[]string{`{"url":"https://corp.com/list"}`}, `["https://corp.com/list/7"]`, "https://corp.com/list/7"},
		{[]string{`{"iban":"GB29NWBK60161331926819"}`}, `["GB29NWBK60161331926820"]`, "GB29NWBK60161331926820"},
		{[]string{`{"n":[100,200,300],"day":"2024-05-15"}`}, `["4100200"]`, "4100200"},
		{[]string{`{"body":"We meet on Monday at the new office in Elm Street with John and Mary from Acme."}`}, `["John Smith","mary@acme.com"]`, "mary@acme.com"},
	} {
		m := New(Options{})
		for _, s := range test.sent {
			m.Sent([]byte(s))
		}
		m.Text(contacts, test.back)
		if o := m.Lookup(test.value); !o.Trusted {
			t.Errorf("%s after %v: %+v", test.value, test.sent, o)
		}
	}
}

// TestCuts shows that no input makes the search for echoes long.
func TestCuts(t *testing.T) {
	m := New(Options{})
	m.Sent([]byte(`["aaa","aaaa","aaaaa"]`))
	m.Text(contacts, strings.Repeat(strings.Repeat("a", 126)+".bc ", 1<<13))
	if m.spelled.cuts >= 0 {
		t.Errorf("%d cuts are left", m.spelled.cuts)
	}
	m.Text(contacts, "ann@x.com")
	if !m.Lookup("ann@x.com").Trusted {
		t.Error("the bound of one observation counts for the next")
	}
}
