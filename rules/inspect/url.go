package inspect

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// URL is an absolute URL with a host.
type URL struct {
	Scheme   string `expr:"scheme"`   // in lower case
	Host     string `expr:"host"`     // a name in lower case and ASCII, without final dot, or the canonical text of an address, without brackets
	Port     int    `expr:"port"`     // the scheme's own where the URL has none
	Path     string `expr:"path"`     // at least "/"; unreserved characters decoded, all others in their %XX form
	Query    string `expr:"query"`    // as written, without "?"
	Fragment string `expr:"fragment"` // as written, without "#"
	User     bool   `expr:"user"`     // it carries a user name or password
	Domain   string `expr:"domain"`   // what its owner registered (example.co.uk); empty for an address or a public suffix itself
	IP       string `expr:"ip"`       // canonical text where the host is an address, otherwise empty

	// As in [IP]. Of a host that is a name they tell what the name says: of
	// localhost, 10.0.0.1.nip.io, metadata.google.internal, names below .local or
	// a top-level domain that the public DNS does not have, names of one label.
	// What a name resolves to is not looked up.
	Private   bool `expr:"private"`
	Public    bool `expr:"public"`
	Loopback  bool `expr:"loopback"`
	LinkLocal bool `expr:"linkLocal"`
	Metadata  bool `expr:"metadata"`

	// In tells whether the host is one of the given names or below one
	// ("*.example.com": below only), or an address in one of the given CIDRs. Each
	// argument is a string or a list of strings. A name is in no CIDR.
	In func(hosts ...any) (bool, error) `expr:"in"`
}

// schemes are those whose authority is the host that the client connects to,
// with their ports. In others it is a file's path, a bucket, an application,
// or only the default for a host that the query names.
var schemes = map[string]int{
	"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "ftps": 990, "sftp": 22, "ssh": 22,
	"git": 9418, "git+http": 80, "git+https": 443, "git+ssh": 22, "gopher": 70, "dict": 2628, "telnet": 23,
	"ldap": 389, "ldaps": 636, "smtp": 25, "smtps": 465, "imap": 143, "imaps": 993, "irc": 6667, "ircs": 6697,
	"rtsp": 554, "mqtt": 1883, "mqtts": 8883, "amqp": 5672, "amqps": 5671,
}

// ParseURL reads an absolute URL of up to 8 KiB, such as RFC 3986, the URL
// Standard, curl and Go's net/url all read alike. Errors are, among others:
// a missing scheme or slash (http:/a, //a), backslashes, spaces, more than one
// "@", percent-encoding in the host or of delimiters in the user name, ports
// that are empty or begin with zero, zone ids, "." and ".." in the path in any
// encoding, encoded slashes and empty segments in the path, broken or doubled
// percent-encoding, and schemes whose host is not where the client connects to.
func ParseURL(s string) (*URL, error) {
	u, err := parseURL(s)
	if err != nil {
		return nil, fmt.Errorf("not a URL that everybody reads alike: %w", err)
	}
	return u, nil
}

func parseURL(s string) (*URL, error) {
	ascii, err := checkText(s, maxURL)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(s, ` \`) || !ascii && strings.IndexFunc(s, unicode.IsSpace) >= 0 {
		return nil, errors.New("it contains a space or a backslash")
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || strings.HasPrefix(rest, "/") {
		return nil, errors.New("it does not begin with a scheme, two slashes and a host, as in https://example.com/")
	}
	scheme, _ = lower(scheme)
	port, known := schemes[scheme]
	if !known {
		return nil, errors.New("its scheme is not one of those whose host can be told (http, https, ws, wss, ftp, ssh ...; a file is checked as a path)")
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	if tail != "" && tail[0] != '/' && strings.Contains(tail, "@") {
		// curl once ended the authority at the first slash only (CVE-2016-8624).
		return nil, errors.New(`an "@" follows, and no slash ends the host; write a slash after the host`)
	}
	user, hostport, hasUser := strings.Cut(authority, "@")
	if !hasUser {
		hostport = authority
	} else if err := checkUser(user); err != nil {
		return nil, err
	}
	h, explicit, err := parseHostPort(hostport)
	if err != nil {
		return nil, err
	}
	if explicit > 0 {
		port = explicit
	}
	tail, frag, _ := strings.Cut(tail, "#")
	path, query, _ := strings.Cut(tail, "?")
	if path, err = normalPath(path); err != nil {
		return nil, fmt.Errorf("the path: %w", err)
	}
	if !wellEscaped(query) || !wellEscaped(frag) {
		return nil, errors.New(`a "%" is not followed by two hexadecimal digits; write it as %25`)
	}
	u := &URL{
		Scheme: scheme, Host: h.name, Port: port, Path: path, Query: query, Fragment: frag, User: hasUser, Domain: h.domain,
		Private: h.private, Public: !h.private, Loopback: h.loopback, LinkLocal: h.linkLocal, Metadata: h.metadata,
	}
	if h.ip != nil {
		u.IP = h.name
	}
	u.In = func(hosts ...any) (bool, error) {
		found, err := h.in(hosts)
		if err != nil {
			return false, fmt.Errorf("url in: %w", err)
		}
		return found, nil
	}
	return u, nil
}

// checkUser takes what RFC 3986 takes as userinfo, and no percent-encoding
// that would end the authority or the user name in a reader that decodes first.
func checkUser(s string) error {
	if s == "" || s[0] == '-' { // ssh and git would read an option
		return errors.New("the user name is empty or begins with a hyphen")
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			b, ok := escape(s[i:])
			if !ok || b < '!' || b >= 0x7F || strings.IndexByte(`/\?#@[]:%`, b) >= 0 {
				return errors.New("the user name or password contains an encoded delimiter or control character")
			}
			i += 2
		} else if !alphanumeric(c) && strings.IndexByte("-._~!$&'()*+,;=:", c) < 0 {
			return errors.New(`before the host stands an "@", and before that a character that no user name has`)
		}
	}
	return nil
}

// parseHostPort gives port 0 where there is none.
func parseHostPort(s string) (h host, port int, err error) {
	name, digits, hasPort := s, "", false
	if strings.HasPrefix(s, "[") {
		inside, after, ok := strings.Cut(s[1:], "]")
		if !ok || after != "" && after[0] != ':' {
			return host{}, 0, errors.New(`the host begins with "[" but is not an IPv6 address in brackets`)
		}
		a, err := parseAddr(inside)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return host{}, 0, errors.New("the host in brackets is not an IPv6 address without zone")
		}
		h = addressHost(a)
		if hasPort = after != ""; hasPort {
			digits = after[1:]
		}
	} else {
		name, digits, hasPort = strings.Cut(s, ":")
		if h, err = parseHost(name); err != nil {
			return host{}, 0, fmt.Errorf("the host: %w", err)
		}
	}
	if !hasPort {
		return h, 0, nil
	}
	port, err = strconv.Atoi(digits)
	if err != nil || !isDigits(digits) || digits[0] == '0' || port > 65535 {
		return host{}, 0, errors.New("the port is not a number from 1 to 65535")
	}
	return h, port, nil
}

// normalPath gives the path in the one form of RFC 3986 section 6.2.2, and
// refuses paths that lead somewhere else in readers that decode, resolve dots,
// merge slashes, or drop parameters before they route.
func normalPath(s string) (string, error) {
	if s == "" {
		return "/", nil
	}
	plain := true
	for i := range len(s) {
		c := s[i]
		if c == '%' || c >= utf8.RuneSelf {
			plain = false
		} else if !alphanumeric(c) && strings.IndexByte("/-._~!$&'()*+,;=:@", c) < 0 {
			return "", errors.New("it contains a character that has to be percent-encoded")
		}
	}
	decoded := s
	if !plain {
		var err error
		if decoded, err = decodePath(s); err != nil {
			return "", err
		}
		if decoded = compatible(decoded); strings.Count(decoded, "/") != strings.Count(s, "/") || strings.Contains(decoded, `\`) {
			return "", errors.New("it contains an encoded slash or backslash, or a character that some readers take for one")
		}
	}
	if err := checkSegments(decoded); err != nil {
		return "", err
	}
	if plain {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			c, _ = escape(s[i:])
			i += 2
			if alphanumeric(c) || strings.IndexByte("-._~", c) >= 0 {
				b.WriteByte(c)
				continue
			}
		} else if c < utf8.RuneSelf {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte("0123456789ABCDEF"[c>>4])
		b.WriteByte("0123456789ABCDEF"[c&15])
	}
	return b.String(), nil
}

func decodePath(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			var ok bool
			if c, ok = escape(s[i:]); !ok {
				return "", errors.New(`a "%" is not followed by two hexadecimal digits; write it as %25`)
			}
			i += 2
		}
		b = append(b, c)
	}
	decoded := string(b)
	if _, err := checkText(decoded, maxURL); err != nil {
		return "", fmt.Errorf("decoded, %w", err)
	}
	for i := range len(decoded) {
		if _, ok := escape(decoded[i:]); ok {
			return "", errors.New("it is percent-encoded twice")
		}
	}
	return decoded, nil
}

// checkSegments looks at a decoded path.
func checkSegments(s string) error {
	before, more := "", true
	for rest := s[1:]; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		name, _, _ := strings.Cut(segment, ";") // Java's servers drop what follows
		switch {
		case name == "." || name == "..":
			return errors.New(`it has a segment "." or ".."; write it without`)
		case segment == "" && more && !strings.HasSuffix(before, ":"):
			// Some servers merge slashes. A URL inside of the path, as archives have
			// them, is the exception.
			return errors.New("it has an empty segment (two slashes)")
		}
		before = segment
	}
	return nil
}

func wellEscaped(s string) bool {
	for i := range len(s) {
		if s[i] == '%' {
			if _, ok := escape(s[i:]); !ok {
				return false
			}
		}
	}
	return true
}
