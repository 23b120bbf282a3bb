package inspect

import (
	"math/rand/v2"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

// FuzzParseURL holds every URL that is taken against the readings of others:
// the host and the port have to be the same for all.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{
		"https://example.com/a?b#c", "http://user:pw@Example.COM.:8080/a/%7eb;c=1", "http://0x7f.1:80/", "http://[::ffff:1.2.3.4]:1/", "http://münchen.de/ä?ö#ü",
		"http://xn--mnchen-3ya.de/", "http://good@evil", "http://evil\\@good", "http://good#@evil", "http://a?@b", "http://017700000001", "http://a//b", "ssh://git@h/x", "http://ⓔ.com", "http://a.com/%2e%2e/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkURL(t, s) })
}

// Pieces that mean something to some reader, in any order, find more than
// random bytes do.
func TestURLsOfPieces(t *testing.T) {
	pieces := []string{"http:", "https:", "ssh:", "//", "/", `\`, "@", ":", "?", "#", ".", "..", "good.com", "evil.com", "127.1", "0x7f.1", "[::1]", "[::ffff:7f00:1]", "%2f", "%40", "%23", "%2e", "%25", ":80", ":443", ";", "a", "-", "ü", "xn--mnchen-3ya.de", "。", "／", "0177", "localhost"}
	taken := 0
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := ""
		if seed%2 == 0 {
			s = "http://"
		}
		for range 1 + r.IntN(7) {
			s += pieces[r.IntN(len(pieces))]
		}
		if checkURL(t, s) {
			taken++
		}
	}
	if taken < 300 {
		t.Errorf("only %d were taken", taken)
	}
}

// checkURL tells whether s is taken, and fails if others read it differently.
func checkURL(t *testing.T, s string) bool {
	u, err := ParseURL(s)
	if err != nil {
		return false
	}
	for name, read := range map[string]func(string) (string, string, bool){
		"the URL Standard": whatwg, "net/url": netURL, "RFC 3986": rfc3986, "a reader that decodes first": decodesFirst, "old curl": oldCurl,
	} {
		host, port, ok := read(s)
		if !ok {
			t.Fatalf("%q: %s does not read it", s, name)
		}
		if host = resolved(host); host != u.Host {
			t.Fatalf("%q: %s reads the host %q, here it is %q", s, name, host, u.Host)
		}
		if port != "" && port != strconv.Itoa(u.Port) || port == "" && u.Port != schemes[u.Scheme] {
			t.Fatalf("%q: %s reads the port %q, here it is %d", s, name, port, u.Port)
		}
	}
	if std, err := url.Parse(s); err != nil {
		t.Fatalf("%q: net/url: %v", s, err)
	} else if std.IsAbs() && (std.Scheme != u.Scheme || (std.User != nil) != u.User || std.RawQuery != u.Query) {
		t.Fatalf("%q: net/url reads %+v, here it is %+v", s, std, u)
	} else if path, err := url.PathUnescape(u.Path); err != nil || path != std.Path && std.Path != "" {
		t.Fatalf("%q: net/url reads the path %q, here it is %q", s, std.Path, u.Path)
	} else if joined := std.JoinPath(".").EscapedPath(); std.Path != "" && !strings.Contains(u.Path, "//") && strings.TrimSuffix(joined, "/") != strings.TrimSuffix(std.EscapedPath(), "/") {
		t.Fatalf("%q: the path %q can be shortened to %q", s, std.EscapedPath(), joined)
	}
	if u.IP != "" {
		a := netip.MustParseAddr(u.IP)
		if (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()) && !u.Private {
			t.Fatalf("%q: %s is not private", s, a)
		}
	}
	again, err := ParseURL(u.Scheme + "://" + bracketed(u.Host) + ":" + strconv.Itoa(u.Port) + u.Path)
	if err != nil || again.Host != u.Host || again.Path != u.Path || again.Private != u.Private || again.Domain != u.Domain {
		t.Fatalf("%q: what came out is not normal: %+v, %v", s, again, err)
	}
	return true
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// resolved is the text of the address that getaddrinfo makes of a host, or the
// name as DNS compares it.
func resolved(host string) string {
	host = strings.Trim(host, "[]")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	if a, ok := inetAton(host); ok {
		return a.String()
	}
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func netURL(s string) (host, port string, ok bool) {
	u, err := url.Parse(s)
	if err != nil {
		return "", "", false
	}
	return u.Hostname(), u.Port(), true
}

// rfc3986 is the expression of RFC 3986 appendix B; the user name ends at the
// last at sign, the port begins at the last colon.
var rfc3986Expr = regexp.MustCompile(`(?s)^(([^:/?#]+):)?(//([^/?#]*))?([^?#]*)(\?([^#]*))?(#(.*))?`)

func rfc3986(s string) (host, port string, ok bool) {
	authority := rfc3986Expr.FindStringSubmatch(s)[4]
	host, port = splitAuthority(authority)
	return host, port, true
}

func splitAuthority(s string) (host, port string) {
	host = s[strings.LastIndex(s, "@")+1:]
	if i := strings.LastIndex(host, ":"); i > strings.LastIndex(host, "]") {
		host, port = host[:i], host[i+1:]
	}
	return host, port
}

// decodesFirst undoes percent-encoding before it looks for delimiters, up to
// the first slash of the path.
func decodesFirst(s string) (host, port string, ok bool) {
	_, rest, ok := strings.Cut(s, "://")
	if !ok {
		return "", "", false
	}
	if decoded, err := url.PathUnescape(rest); err == nil {
		rest = decoded
	}
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		rest = rest[:i]
	}
	host, port = splitAuthority(rest)
	return host, port, true
}

// oldCurl ends the authority at a slash only, and takes what follows the last
// at sign (CVE-2016-8624).
func oldCurl(s string) (host, port string, ok bool) {
	_, rest, _ := strings.Cut(s, "://")
	rest, _, _ = strings.Cut(rest, "/")
	rest = rest[strings.LastIndex(rest, "@")+1:]
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	host, port = splitAuthority(rest)
	return host, port, true
}

// whatwg is the basic URL parser of the URL Standard as far as the host and
// the port go.
func whatwg(s string) (host, port string, ok bool) {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`).MatchString(scheme) {
		return "", "", false
	}
	ends := "/?#"
	special := map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
	standard, isSpecial := special[strings.ToLower(scheme)]
	if isSpecial {
		ends = `/\?#`
		rest = strings.TrimLeft(rest, `/\`)
	} else if rest, ok = strings.CutPrefix(rest, "//"); !ok {
		return "", "", false
	}
	if i := strings.IndexAny(rest, ends); i >= 0 {
		rest = rest[:i]
	}
	host, port = splitAuthority(rest)
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return "", "", false
		}
		if port = strconv.FormatUint(n, 10); port == standard {
			port = ""
		}
	}
	if strings.HasPrefix(host, "[") {
		return host, port, true
	}
	if !isSpecial {
		return host, port, !strings.ContainsAny(host, "\x00\t\n\r #/:<>?@[\\]^|")
	}
	decoded, err := url.PathUnescape(host)
	if err != nil {
		decoded = host
	}
	ascii, err := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false), idna.BidiRule()).ToASCII(decoded)
	if err != nil || ascii == "" || strings.ContainsAny(ascii, "\x00\t\n\r #/:<>?@[\\]^|%\x7f") {
		return "", "", false
	}
	parts := strings.Split(strings.TrimSuffix(ascii, "."), ".")
	last := parts[len(parts)-1]
	if isDigits(last) || regexp.MustCompile(`^0[xX][0-9A-Fa-f]*$`).MatchString(last) {
		a, ok := whatwgIPv4(parts)
		return a.String(), port, ok
	}
	return ascii, port, true
}

// whatwgIPv4 is the IPv4 parser of the URL Standard.
func whatwgIPv4(parts []string) (netip.Addr, bool) {
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var addr uint64
	for i, part := range parts {
		base := 10
		if part == "" {
			return netip.Addr{}, false
		} else if len(part) >= 2 && (part[:2] == "0x" || part[:2] == "0X") {
			part, base = part[2:], 16
		} else if len(part) >= 2 && part[0] == '0' {
			part, base = part[1:], 8
		}
		n := uint64(0)
		if part != "" {
			var err error
			if n, err = strconv.ParseUint(part, base, 64); err != nil {
				return netip.Addr{}, false
			}
		}
		if i == len(parts)-1 {
			if n >= 1<<(8*uint(5-len(parts))) {
				return netip.Addr{}, false
			}
			addr += n
		} else if n > 255 {
			return netip.Addr{}, false
		} else {
			addr += n << (8 * uint(3-i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}), true
}

// The readers of this file have to disagree about what is refused, or they
// would prove nothing.
func TestReadersDisagree(t *testing.T) {
	for _, s := range []string{`http://evil.com\@good.com/`, "http://good.com#@evil.com/", "http://evil.com%2f@good.com/", "http://①②⑦.0.0.1/", "http:/evil.com/"} {
		hosts := map[string]bool{}
		for _, read := range []func(string) (string, string, bool){whatwg, netURL, rfc3986, decodesFirst, oldCurl} {
			if host, _, ok := read(s); ok {
				hosts[host] = true
			}
		}
		if len(hosts) < 2 {
			t.Errorf("%s: all read %v", s, hosts)
		}
	}
}
