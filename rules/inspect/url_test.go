package inspect

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for _, test := range []struct{ in, host, domain, flags, rest string }{ // rest: scheme port path query fragment user
		{"https://example.com", "example.com", "example.com", "", `https 443 "/" "" "" false`},
		{"HTTPS://EXAMPLE.COM/A?B#C", "example.com", "example.com", "", `https 443 "/A" "B" "C" false`},
		{"http://example.com./", "example.com", "example.com", "", `http 80 "/" "" "" false`},
		{"http://example.com:8080/x", "example.com", "example.com", "", `http 8080 "/x" "" "" false`},
		{"https://www.example.co.uk?q=1", "www.example.co.uk", "example.co.uk", "", `https 443 "/" "q=1" "" false`},
		{"https://user.github.io/", "user.github.io", "user.github.io", "", `https 443 "/" "" "" false`},
		{"https://github.io/", "github.io", "", "", `https 443 "/" "" "" false`},
		{"https://a.b.example.com/", "a.b.example.com", "example.com", "", `https 443 "/" "" "" false`},
		{"https://my_bucket.s3.amazonaws.com/", "my_bucket.s3.amazonaws.com", "my_bucket.s3.amazonaws.com", "", `https 443 "/" "" "" false`},
		{"https://r3---sn-4g5e.googlevideo.com/", "r3---sn-4g5e.googlevideo.com", "googlevideo.com", "", `https 443 "/" "" "" false`},
		{"wss://h.example.org/s", "h.example.org", "example.org", "", `wss 443 "/s" "" "" false`},
		{"git+ssh://git@github.com/a/b.git", "github.com", "github.com", "", `git+ssh 22 "/a/b.git" "" "" true`},
		{"https://example.com/?q={\"a\":[1|2]}", "example.com", "example.com", "", `https 443 "/" "q={\"a\":[1|2]}" "" false`},
		{"https://web.archive.org/web/2020/https://example.com/a", "web.archive.org", "archive.org", "", `https 443 "/web/2020/https://example.com/a" "" "" false`},
		{"https://example.com/@user/1", "example.com", "example.com", "", `https 443 "/@user/1" "" "" false`},
		{"https://example.com/?mail=a@b.example", "example.com", "example.com", "", `https 443 "/" "mail=a@b.example" "" false`},

		// The path in one form.
		{"https://example.com/%61dmin", "example.com", "example.com", "", `https 443 "/admin" "" "" false`},
		{"https://example.com/%7euser/a%20b%3f", "example.com", "example.com", "", `https 443 "/~user/a%20b%3F" "" "" false`},
		{"https://example.com/ä/%C3%A4", "example.com", "example.com", "", `https 443 "/%C3%A4/%C3%A4" "" "" false`},
		{"https://example.com/100%25", "example.com", "example.com", "", `https 443 "/100%25" "" "" false`},
		{"https://example.com/a/", "example.com", "example.com", "", `https 443 "/a/" "" "" false`},
		{"https://example.com/...", "example.com", "example.com", "", `https 443 "/..." "" "" false`},
		{"https://example.com/.well-known/x", "example.com", "example.com", "", `https 443 "/.well-known/x" "" "" false`},
		{"https://example.com/a..b/c;v=1", "example.com", "example.com", "", `https 443 "/a..b/c;v=1" "" "" false`},

		// Where the host really is.
		{"http://good.example@evil.com/", "evil.com", "evil.com", "", `http 80 "/" "" "" true`},
		{"http://good.example:80@evil.com/", "evil.com", "evil.com", "", `http 80 "/" "" "" true`},
		{"http://evil.com/@good.example", "evil.com", "evil.com", "", `http 80 "/@good.example" "" "" false`},
		{"http://good.example.evil.com/", "good.example.evil.com", "evil.com", "", `http 80 "/" "" "" false`},
		{"http://evil.com/#good.example", "evil.com", "evil.com", "", `http 80 "/" "" "good.example" false`},

		// International names.
		{"https://münchen.de/", "xn--mnchen-3ya.de", "xn--mnchen-3ya.de", "", `https 443 "/" "" "" false`},
		{"https://xn--mnchen-3ya.de/", "xn--mnchen-3ya.de", "xn--mnchen-3ya.de", "", `https 443 "/" "" "" false`},
		{"https://XN--MNCHEN-3YA.de/", "xn--mnchen-3ya.de", "xn--mnchen-3ya.de", "", `https 443 "/" "" "" false`},
		{"https://xn--google.com/", "xn--google.com", "xn--google.com", "", `https 443 "/" "" "" false`}, // four Chinese characters
		{"https://xn--fa-hia.de/", "xn--fa-hia.de", "xn--fa-hia.de", "", `https 443 "/" "" "" false`},
		{"https://日本語.jp/", "xn--wgv71a119e.jp", "xn--wgv71a119e.jp", "", `https 443 "/" "" "" false`},
		{"https://пример.рф/", "xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai", "", `https 443 "/" "" "" false`},
		{"https://москва.com/", "xn--80adxhks.com", "xn--80adxhks.com", "", `https 443 "/" "" "" false`},
		{"https://xn--mnchen-3ya.日本語.jp/", "xn--mnchen-3ya.xn--wgv71a119e.jp", "xn--wgv71a119e.jp", "", `https 443 "/" "" "" false`},

		// Addresses.
		{"http://93.184.216.34/", "93.184.216.34", "", "", `http 80 "/" "" "" false`},
		{"http://127.0.0.1/", "127.0.0.1", "", "pl", `http 80 "/" "" "" false`},
		{"http://127.1/", "127.0.0.1", "", "pl", `http 80 "/" "" "" false`},
		{"http://2130706433/", "127.0.0.1", "", "pl", `http 80 "/" "" "" false`},
		{"http://0x7f000001/", "127.0.0.1", "", "pl", `http 80 "/" "" "" false`},
		{"http://0X7F.1/", "127.0.0.1", "", "pl", `http 80 "/" "" "" false`},
		{"http://017700000001/", "127.0.0.1", "", "pl", `http 80 "/" "" "" false`},
		{"http://0/", "0.0.0.0", "", "pl", `http 80 "/" "" "" false`},
		{"http://[::1]:8080/", "::1", "", "pl", `http 8080 "/" "" "" false`},
		{"http://[0:0:0:0:0:0:0:1]/", "::1", "", "pl", `http 80 "/" "" "" false`},
		{"http://[::]/", "::", "", "pl", `http 80 "/" "" "" false`},
		{"http://[::ffff:127.0.0.1]/", "127.0.0.1", "", "pl", `http 80 "/" "" "" false`},
		{"http://[::FFFF:7F00:1]/", "127.0.0.1", "", "pl", `http 80 "/" "" "" false`},
		{"http://[64:ff9b::a9fe:a9fe]/", "64:ff9b::a9fe:a9fe", "", "pkm", `http 80 "/" "" "" false`},
		{"http://[fd00:ec2::254]/", "fd00:ec2::254", "", "pm", `http 80 "/" "" "" false`},
		{"http://169.254.169.254/latest/", "169.254.169.254", "", "pkm", `http 80 "/latest/" "" "" false`},
		{"http://0xa9fea9fe/", "169.254.169.254", "", "pkm", `http 80 "/" "" "" false`},
		{"http://user@10.0.0.1/", "10.0.0.1", "", "p", `http 80 "/" "" "" true`},
		{"gopher://127.0.0.1:6379/_x", "127.0.0.1", "", "pl", `gopher 6379 "/_x" "" "" false`},

		// Names that say where they lead.
		{"http://localhost/", "localhost", "", "pl", `http 80 "/" "" "" false`},
		{"http://LOCALHOST./", "localhost", "", "pl", `http 80 "/" "" "" false`},
		{"http://a.localhost/", "a.localhost", "a.localhost", "pl", `http 80 "/" "" "" false`},
		{"http://localhost.localdomain/", "localhost.localdomain", "localhost.localdomain", "pl", `http 80 "/" "" "" false`},
		{"http://ip6-loopback/", "ip6-loopback", "", "pl", `http 80 "/" "" "" false`},
		{"http://company.localtest.me/", "company.localtest.me", "localtest.me", "pl", `http 80 "/" "" "" false`},
		{"http://localhost.example.com/", "localhost.example.com", "example.com", "", `http 80 "/" "" "" false`},
		{"http://metadata.google.internal/", "metadata.google.internal", "google.internal", "pm", `http 80 "/" "" "" false`},
		{"http://metadata/", "metadata", "", "pm", `http 80 "/" "" "" false`},
		{"http://127.0.0.1.nip.io/", "127.0.0.1.nip.io", "nip.io", "pl", `http 80 "/" "" "" false`},
		{"http://x.169-254-169-254.sslip.io/", "x.169-254-169-254.sslip.io", "sslip.io", "pkm", `http 80 "/" "" "" false`},
		{"http://app-10-0-0-1.nip.io/", "app-10-0-0-1.nip.io", "nip.io", "p", `http 80 "/" "" "" false`},
		{"http://7f000001.nip.io/", "7f000001.nip.io", "nip.io", "pl", `http 80 "/" "" "" false`},
		{"http://fe80--1.sslip.io/", "fe80--1.sslip.io", "sslip.io", "pk", `http 80 "/" "" "" false`},
		{"http://8.8.8.8.nip.io/", "8.8.8.8.nip.io", "nip.io", "", `http 80 "/" "" "" false`},
		{"http://8.8.8.8.127.0.0.1.nip.io/", "8.8.8.8.127.0.0.1.nip.io", "nip.io", "pl", `http 80 "/" "" "" false`},
		{"http://nip.io/", "nip.io", "nip.io", "p", `http 80 "/" "" "" false`},
		{"http://7f000001.c0a80001.rbndr.us/", "7f000001.c0a80001.rbndr.us", "rbndr.us", "pl", `http 80 "/" "" "" false`},
		{"http://ip-10-0-0-1.example.com/", "ip-10-0-0-1.example.com", "example.com", "p", `http 80 "/" "" "" false`},
		{"http://127.0.0.1.example.com/", "127.0.0.1.example.com", "example.com", "pl", `http 80 "/" "" "" false`},
		{"http://ip-8-8-8-8.example.com/", "ip-8-8-8-8.example.com", "example.com", "", `http 80 "/" "" "" false`},
		{"http://printer.local/", "printer.local", "printer.local", "p", `http 80 "/" "" "" false`},
		{"http://vault.service.consul/", "vault.service.consul", "service.consul", "p", `http 80 "/" "" "" false`},
		{"http://api.default.svc.cluster.local/", "api.default.svc.cluster.local", "cluster.local", "p", `http 80 "/" "" "" false`},
		{"http://router.home.arpa/", "router.home.arpa", "router.home.arpa", "p", `http 80 "/" "" "" false`},
		{"http://redis:6379/", "redis", "", "p", `http 6379 "/" "" "" false`},
		{"http://host.docker.internal/", "host.docker.internal", "docker.internal", "p", `http 80 "/" "" "" false`},
		{"http://0o177.1x/", "0o177.1x", "0o177.1x", "p", `http 80 "/" "" "" false`},
	} {
		u, err := ParseURL(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		got := flags{u.Private, u.Loopback, u.LinkLocal, u.Metadata, false}.letters()
		rest := fmt.Sprintf("%s %d %q %q %q %v", u.Scheme, u.Port, u.Path, u.Query, u.Fragment, u.User)
		if u.Host != test.host || u.Domain != test.domain || got != test.flags || rest != test.rest || u.Public == u.Private {
			t.Errorf("%s:\n got %s, domain %q, flags %q, %s\nwant %s, domain %q, flags %q, %s", test.in, u.Host, u.Domain, got, rest, test.host, test.domain, test.flags, test.rest)
		}
		if strings.Contains(u.Host, ":") || isDigits(u.Host[len(u.Host)-1:]) {
			if u.IP != u.Host {
				t.Errorf("%s: ip is %q", test.in, u.IP)
			}
		} else if u.IP != "" {
			t.Errorf("%s: ip is %q", test.in, u.IP)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, s := range []string{
		"", " ", "x", "/", "//evil.com/", "///evil.com", "\\\\evil.com", "/\\evil.com", "evil.com", "evil.com:80/", "localhost:8080/x",
		"http:evil.com", "http:/evil.com", "http:///evil.com", "http:////evil.com", "http:\\\\evil.com", "http:/\\evil.com", "http://", "http:///", "http://?", "http://#", "http://:80/",
		" http://evil.com", "http://evil.com ", "\thttp://evil.com", "ht\ntp://evil.com", "http://ev\til.com", "http://evil.com\r\n", "http://good.com\x00.evil.com/", "http://evil.com/\x00", "http://evil.com/\x7f", "http://evil.com/\u0085", "http://ev il.com/", "http://evil.com/a b", "\ufeffhttp://evil.com", "http://ev\u200bil.com/", "http://ev\u00adil.com/", "http://evil.com/\u202efdp.exe", "http://evil.com/\u3000", "http://\xff.com/", "http://evil.com/\xff",

		// The authority.
		`http://evil.com\@good.com/`, `http://good.com\@evil.com/`, `http://good.com\.evil.com/`, `http://evil.com\/good.com`, `http://evil.com/a\..\b`, `http://evil.com?\@good.com`,
		"http://a@b@evil.com/", "http://good.com@evil.com@x/", "http://good.com#@evil.com/", "http://good.com?@evil.com/", "http://good.com#.evil.com@x/", "http://@evil.com/", "http://:@/", "http://good.com%2f@evil.com/", "http://good.com%23@evil.com/", "http://good.com%40evil.com@x.com/", "http://a%5c@evil.com/", "http://a%00@evil.com/", "http://a%0d%0a@evil.com/", "http://a%@evil.com/", "http://a%zz@evil.com/", "http://good[@evil.com/", "http://a\"@evil.com/", "http://ä@evil.com/", "ssh://-oProxyCommand=x@evil.com/",
		"http://evil.com:/", "http://evil.com:0/", "http://evil.com:080/", "http://evil.com:65536/", "http://evil.com:99999999999999999999/", "http://evil.com:-1/", "http://evil.com:+80/", "http://evil.com:8a/", "http://evil.com:80:80/", "http://evil.com:８０/", "http://evil.com:80\\@good.com", "http://127.0.0.1:80.good.com/", "http://good.com:evil.com/", "http://good.com:80;evil.com/", "http://1.1.1.1:80@2.2.2.2@3.3.3.3/", "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/",

		// The host.
		"http://%65vil.com/", "http://evil%2ecom/", "http://evil.com%00/", "http://127.0.0.1%23.good.com/", "http://evil.com%/", "http://good.com%09.evil.com/",
		"http://evil..com/", "http://.evil.com/", "http://evil.com../", "http://./", "http://../", "http://-evil.com/", "http://evil-.com/", "ssh://-oProxyCommand=x/", "http://a,b/", "http://a;b/", "http://good.com,evil.com/", "http://{good,evil}.com/", "http://*.evil.com/", "http://evil.com|x/", "http://$(id).evil.com/", "http://`id`.evil.com/", "http://evil'.com/", "http://ev!l.com/", "http://ev~l.com/", "http://" + strings.Repeat("a", 64) + ".com/", "http://" + strings.Repeat("a.", 130) + "com/",

		// International names that become others.
		"http://ｅｖｉｌ.com/", "http://evil。com/", "http://evil．com/", "http://evil｡com/", "http://ⓔⓥⓘⓛ.com/", "http://１２７.0.0.1/", "http://127。0。0。1/", "http://①②⑦.⓪.⓪.①/", "http://١٢٧.0.0.1/", "http://𝟙𝟚𝟟.0.0.1/", "http://evil.c℀/", "http://evil.com／good.com/", "http://evil.com＠good.com/", "http://evil.com﹫good.com/", "http://evil.com：80/", "http://evil.com？good.com/", "http://evil.com＃good.com/", "http://good℅evil.com/", "http://evil⁄.com/", "http://evil∕x.com/", "http://ﬀ.com/", "http://Å.com/", "http://MÜNCHEN.de/", "http://mu\u0308nchen.de/", "http://faß.de/", "http://βόλος.com/", "http://x\u200dy.com/", "http://x\u200cy.com/", "http://\u0301x.com/", "http://\u212a.com/", "http://ſ.com/",
		"http://xn--/", "http://xn--a/", "http://xn--evil-.com/", "http://xn--a-b-c-.com/", "http://xn--ls8h.la/", "http://xn--99999999999.com/", "http://xn--0.com/", "http://xn--mnchen-3yA1.de/",
		"http://pаypal.com/", "http://gооgle.com/", "http://xn--ggle-55da.com/", "http://аррӏе.com/", "http://xn--80ak6aa92e.com/", "http://ɡoogle.com/", "http://pɑypal.com/", "http://раураӏ.com/", "http://ѕсоре.com/", "http://oο.com/", "http://aբ.com/", "http://日本語α.jp/", "http://ひ한.jp/",

		// Addresses that two readers read differently, or nobody.
		"http://0177.0.0.1/", "http://010.0.0.1/", "http://0177.1/", "http://127.0.0.1./", "http://256.1.1.1/", "http://1.2.3.4.5/", "http://4294967296/", "http://0x100000000/", "http://08/", "http://1.2.3.09/", "http://0x/", "http://0x.0x/", "http://example.1/", "http://a.0x7f/", "http://foo.0/", "http://127.0.0.1.1/", "http://1e3.08/",
		"http://[127.0.0.1]/", "http://[::1/", "http://::1/", "http://[::1]x/", "http://[::1].evil.com/", "http://[::1]80/", "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1%25]/", "http://[v1.x]/", "http://[]/", "http://[::1]]/", "http://[[::1]]/", "http://[evil.com]/", "http://[::ffff:0177.0.0.1]/", "http://[::ffff:127.1]/", "http://[::1]@evil.com/", "http://a[::1]/", "http://[::1]:/", "http://[::１]/",

		// Schemes whose host is not where the client connects to.
		"file:///etc/passwd", "file://good.com/etc/passwd", "FILE://x/", "javascript://good.com/%0aalert(1)", "data:text/plain,x", "data://text/plain;base64,x", "mailto:a@b.c", "jar:http://good.com!/", "view-source:http://good.com/", "blob:https://good.com/x", "php://filter/x", "phar://good.com/x", "unix://good.com/", "s3://bucket/key", "about:blank", "postgresql://good.com/db?host=evil.com", "mongodb://a,b/", "jdbc:mysql://good.com/", "feed:http://good.com/", "url:http://good.com/", "http+unix://%2fsock/", "ｈttp://good.com/", "http;://good.com/", "://good.com/", "0http://good.com/", "chrome-extension://good.com/",

		// The path.
		"http://a.com/../x", "http://a.com/..", "http://a.com/x/.", "http://a.com/./x", "http://a.com/%2e%2e/x", "http://a.com/%2E%2e", "http://a.com/.%2e/x", "http://a.com/%2e/x", "http://a.com/x%2fy", "http://a.com/..%2fx", "http://a.com/%5c..%5cx", "http://a.com/..%5cx", "http://a.com/%252e%252e/x", "http://a.com/x%252fy", "http://a.com/%25%32%65", "http://a.com/..;/x", "http://a.com/..;a=b/x", "http://a.com/.;/x", "http://a.com/%2e%2e;/x", "http://a.com//evil.com", "http://a.com/x//y", "http://a.com//", "http://a.com/%c0%ae%c0%ae/x", "http://a.com/%e0%80%ae/x", "http://a.com/%00", "http://a.com/%0d%0ax", "http://a.com/%7f", "http://a.com/%", "http://a.com/%2", "http://a.com/%zz", "http://a.com/%u002e", "http://a.com/．．/x", "http://a.com/%ef%bc%8e%ef%bc%8e/x", "http://a.com/‥/x", "http://a.com/x／y", "http://a.com/x%EF%BC%8Fy", "http://a.com/x＼y", "http://a.com/{a,b}", "http://a.com/[1-9]", "http://a.com/<x>", "http://a.com/a|b", "http://a.com/a^b", "http://a.com/\"", "http://a.com/`", "http://a.com/%e2%80%8b", "http://a.com/%ff",
		"http://a.com/?%", "http://a.com/?a=%zz", "http://a.com/#%1",
		"http://a.com/" + strings.Repeat("a", maxURL),
	} {
		if u, err := ParseURL(s); err == nil {
			t.Errorf("%q was read as %+v", s, *u)
		} else if len(s) > 14 && strings.Contains(err.Error(), s) {
			t.Errorf("the error quotes the value: %v", err)
		}
	}
}

func TestURLIn(t *testing.T) {
	for _, test := range []struct {
		url   string
		hosts []any
		want  string
	}{
		{"https://example.com/", []any{"example.com"}, "true"},
		{"https://api.Example.com./", []any{"EXAMPLE.com."}, "true"},
		{"https://api.example.com/", []any{"*.example.com"}, "true"},
		{"https://example.com/", []any{"*.example.com"}, "false"},
		{"https://notexample.com/", []any{"example.com"}, "false"},
		{"https://example.com.evil.com/", []any{"example.com"}, "false"},
		{"https://evil.com/", []any{"a.evil.com"}, "false"},
		{"https://münchen.de/", []any{"xn--mnchen-3ya.de"}, "true"},
		{"https://xn--mnchen-3ya.de/", []any{"münchen.de"}, "true"},
		{"https://b.com/", []any{[]any{"a.com", "b.com"}}, "true"},
		{"https://b.com/", nil, "false"},
		{"http://10.1/", []any{"example.com", "10.0.0.0/8"}, "true"},
		{"http://[::ffff:a00:1]/", []any{"10.0.0.0/8"}, "true"},
		{"http://[::1]/", []any{"[::1]"}, "true"},
		{"http://[2002:a00:1::1]/", []any{"10.0.0.0/8"}, "error"},
		{"http://10.0.0.1/", []any{"0.0.1"}, "error"},
		{"http://10.0.0.1.nip.io/", []any{"10.0.0.0/8"}, "false"},
		{"https://example.com/", []any{"https://example.com"}, "error"},
		{"https://example.com/", []any{"example.com:443"}, "error"},
		{"https://example.com/", []any{""}, "error"},
		{"https://example.com/", []any{"*"}, "error"},
		{"https://example.com/", []any{"*.*.com"}, "error"},
		{"https://example.com/", []any{"example.*"}, "error"},
		{"https://example.com/", []any{"exаmple.com"}, "error"}, // Cyrillic
		{"https://example.com/", []any{true}, "error"},
	} {
		u, err := ParseURL(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer(u.In(test.hosts...)); got != test.want {
			t.Errorf("%s in %v: got %s, want %s", test.url, test.hosts, got, test.want)
		}
	}
}
