package inspect

import (
	"net/mail"
	"regexp"
	"strings"
	"testing"
)

func TestParseEmails(t *testing.T) {
	for _, test := range []struct{ in, want string }{ // want: address|name|domain, a space between several
		{"jane@example.com", "jane@example.com||example.com"},
		{"<jane@example.com>", "jane@example.com||example.com"},
		{" jane@example.com ", "jane@example.com||example.com"},
		{"Jane@Mail.Example.CO.UK", "jane@mail.example.co.uk||example.co.uk"},
		{"Jane Doe <jane@example.com>", "jane@example.com|Jane Doe|example.com"},
		{"Jane Doe<jane@example.com>", "jane@example.com|Jane Doe|example.com"},
		{`"Doe, Jane" <jane@example.com>`, "jane@example.com|Doe, Jane|example.com"},
		{`"Doe; Jane (HR)" <jane@example.com>`, "jane@example.com|Doe; Jane (HR)|example.com"},
		{"José Ñ. <jose@example.com>", "jose@example.com|José Ñ.|example.com"},
		{"a@example.com,b@example.org", "a@example.com||example.com b@example.org||example.org"},
		{`"Doe, Jane" <jane@example.com>, b@example.org , <c@example.net>`, "jane@example.com|Doe, Jane|example.com b@example.org||example.org c@example.net||example.net"},
		{"o'neil+tag=1@example.com", "o'neil+tag=1@example.com||example.com"},
		{"first.last_x-y@example.com", "first.last_x-y@example.com||example.com"},
		{"jane@münchen.de", "jane@xn--mnchen-3ya.de||xn--mnchen-3ya.de"},
		{"jane@xn--mnchen-3ya.de", "jane@xn--mnchen-3ya.de||xn--mnchen-3ya.de"},
		{"jane@localhost", "jane@localhost||"},
	} {
		list, err := ParseEmails(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		var got []string
		for _, e := range list {
			got = append(got, e.Address+"|"+e.Name+"|"+e.Domain)
			if e.Address != e.Local+"@"+e.Host {
				t.Errorf("%s: %q is not %q at %q", test.in, e.Address, e.Local, e.Host)
			}
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%s: got %s, want %s", test.in, s, test.want)
		}
		if _, err := ParseEmail(test.in); (err == nil) != (len(list) == 1) {
			t.Errorf("%s: as one address: %v", test.in, err)
		}
	}
}

func TestParseEmailsRefuses(t *testing.T) {
	for _, s := range []string{
		"", " ", ",", "jane", "@", "jane@", "@example.com", "jane@@example.com", "jane@example.com@evil.com", "a@b.com,", ",a@b.com", "a@b.com,,c@d.com",
		"a@b.com c@d.com", "a@b.com; c@d.com", "a@b.com;c@d.com", "a@b.com\nBcc: c@d.com", "a@b.com\r\nBcc: c@d.com", "a@b.com\x00", "a@b.com\tc", "a@b.com\u2028c@d.com", "a@b.com\u200b", "a@\xff.com",

		// Two addresses in one.
		"good@good.com <evil@evil.com>", `"good@good.com" <evil@evil.com>`, "<good@good.com> <evil@evil.com>", "<good@good.com> evil@evil.com", "good@good.com <evil@evil.com> x", `"good@good.com> <x" <evil@evil.com>`, "good＠good.com <evil@evil.com>", "＜good＞ <evil@evil.com>", "good﹫good.com <evil@evil.com>", "<<evil@evil.com>>", "<evil@evil.com", "evil@evil.com>", "Jane <>", "Jane <jane>", "Jane jane@example.com", `"Jane" jane@example.com`, `"Jane jane@example.com`, `Jane" <jane@example.com>`, `"a" "b" <jane@example.com>`, `"a"b <jane@example.com>`, `"" "<evil@evil.com>`, `"\"" <jane@example.com>`,

		// Groups, comments, routes, quoted local parts, literals, encoded words.
		"Friends: a@b.com, c@d.com;", "undisclosed-recipients:;", "a@b.com (comment)", "a(comment)@b.com", "a@(comment)b.com", "(x)a@b.com", "Jane (HR) <jane@example.com>", "a@b.com(evil@evil.com)", "<@evil.com:a@b.com>", "<@evil.com,@x.com:a@b.com>", "@evil.com:a@b.com", `"evil@evil.com"@good.com`, `"a b"@b.com`, `"a"@b.com`, `a\@evil.com@good.com`, "a@[127.0.0.1]", "a@[IPv6:::1]", "a@127.0.0.1", "a@2130706433", "a@0x7f.1", "=?utf-8?q?evil=40evil.com?= <a@b.com>", "=?utf-8?q?evil=40evil.com=2c?=@good.com", "mailto:a@b.com", "mailto:a@b.com?cc=c@d.com", "a@b.com?cc=c@d.com", "a@b.com&cc=c@d.com",

		// Local parts that forward, run or overflow.
		"user%evil.com@good.com", "evil.com!user@good.com", "a!b%c@good.com", "|cmd@good.com", "`cmd`@good.com", "/etc/x@good.com", "-oQ/tmp@good.com", ".a@b.com", "a.@b.com", "a..b@b.com", "a b@b.com", "a/b@b.com", "jos\u00e9@b.com", "evil\u0140evil.com@good.com", "\u0430@b.com", "ａ@b.com", strings.Repeat("a", 65) + "@b.com", strings.Repeat("a", 60) + "@" + strings.Repeat("b.", 120) + "com",

		// Hosts, as in URLs.
		"a@b.com.", "a@.b.com", "a@b..com", "a@-b.com", "a@b.com:25", "a@b.com/x", "a@b.com#x", "a@b%2ecom", "a@b。com", "a@ｂ.com", "a@gооgle.com", "a@аррӏе.com", "a@faß.de", "a@xn--a.com", "a@b_.c*m", "a@" + strings.Repeat("b", 64) + ".com",
		strings.Repeat("a@b.com,", maxEmails/8) + "a@b.com", strings.Repeat("a@b.com,", maxAddresses) + "a@b.com",
	} {
		if list, err := ParseEmails(s); err == nil {
			t.Errorf("%q was read as %v", s, list)
		}
	}
}

func TestEmailIn(t *testing.T) {
	e, err := ParseEmail("Jane <jane@mail.example.com>")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"example.com": "true", "mail.example.com": "true", "*.example.com": "true", "ample.com": "false", "example.co": "false", "jane@example.com": "error"} {
		if got := answer(e.In(host)); got != want {
			t.Errorf("in %s: got %s, want %s", host, got, want)
		}
	}
}

var anyAddress = regexp.MustCompile(`[^\s<>,;:"()@]+@[^\s<>,;:"()@]+`)

// What is read here is what RFC 5322 says, as package mail implements it, and
// what a program finds that takes everything around an at sign.
func FuzzParseEmails(f *testing.F) {
	for _, s := range []string{"jane@example.com", `"Doe, Jane" <jane@example.com>, b@example.org`, "J. Doe <j@x.de>", `"good@x" <e@y>`, "a@münchen.de", "g:a@b;", "a(c)@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseEmails(s)
		if err != nil {
			return
		}
		found := anyAddress.FindAllString(s, -1)
		if len(found) != len(list) || strings.Count(s, "@") != len(list) {
			t.Fatalf("%q: %d addresses here, %q for a program that looks for at signs", s, len(list), found)
		}
		standard, err := mail.ParseAddressList(s)
		if err == nil && len(standard) != len(list) {
			t.Fatalf("%q: %d addresses here, %d in package mail", s, len(list), len(standard))
		}
		for i, e := range list {
			local, hostname, _ := strings.Cut(strings.ToLower(found[i]), "@")
			if h, err := parseHost(hostname); err != nil || local != e.Local || h.name != e.Host {
				t.Fatalf("%q: %q here, %q in the text", s, e.Address, found[i])
			}
			if standard != nil {
				local, _, _ := strings.Cut(standard[i].Address, "@")
				if strings.ToLower(local) != e.Local {
					t.Fatalf("%q: %q here, %q in package mail", s, e.Address, standard[i].Address)
				}
			}
			again, err := ParseEmail(e.Address)
			if err != nil || again.Address != e.Address {
				t.Fatalf("%q: %q is not normal: %v", s, e.Address, err)
			}
		}
	})
}
