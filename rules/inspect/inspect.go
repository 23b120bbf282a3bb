// Package inspect parses the values that rules look into: URLs, addresses,
// paths, statements and commands. Each function takes a string that an agent
// chose and gives a struct whose fields the rule language reads under the name
// in their expr tag:
//
//	u, err := inspect.ParseURL("https://api.example.com/v1")
//	...
//	u.Host   // in a rule: url(args.url).host
//	u.In     // in a rule: url(args.url).in("example.com", "203.0.113.0/24")
//
// The string was perhaps written to mislead, and it is not this package that
// acts on it: some server does, with a parser of its own that nobody here
// knows (node, python, go, curl, a browser, a shell). So nothing is repaired
// or guessed. A value that two of those parsers could read differently is an
// error, and so is a spelling that has no use but to get past a check. An
// error is not a "no": whoever calls this package refuses the call that
// carries the value.
//
// What passes is normalised, so that one thing has one spelling: host names
// and schemes in lower case and without a final dot, international names in
// their ASCII form, IP addresses in the form of RFC 5952.
//
// Nothing here asks the network. What a name resolves to is unknown when a
// rule is evaluated, and may be another address a moment later; a field such
// as [URL.Private] speaks of what the name itself says. Servers are kept from
// networks by containing them, not by rules. [ParsePath] does look at the file
// system of this machine.
//
// Errors say what is wrong and how to write it instead; they never quote the
// value. Every function is bounded by the size of its input, and may be called
// from several goroutines.
package inspect

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Sizes in bytes above which a value is refused.
const (
	maxURL    = 8 << 10
	maxEmails = 64 << 10
	maxPath   = 4 << 10
)

// checkText refuses what no field of any kind may contain: broken encoding,
// control characters (which some readers drop and others end at), characters
// that show nothing, and characters that Unicode does not define. It says
// whether the text is ASCII only.
func checkText(s string, limit int) (ascii bool, err error) {
	if s == "" {
		return false, errors.New("it is empty")
	}
	if len(s) > limit {
		return false, fmt.Errorf("it is longer than %d bytes", limit)
	}
	ascii = true
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf {
			ascii = false
			break
		} else if c < ' ' || c == 0x7F {
			return false, errControl
		}
	}
	if ascii {
		return true, nil
	}
	if !utf8.ValidString(s) {
		return false, errors.New("it is not valid UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false, errControl
		}
		if !unicode.IsGraphic(r) || invisible(r) {
			return false, errors.New("it contains an invisible or undefined character")
		}
	}
	return false, nil
}

var errControl = errors.New("it contains a control character")

// invisible tells of characters that show nothing although their category says
// otherwise, and of U+FFFD, which stands for text that was lost.
func invisible(r rune) bool {
	switch r {
	case 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, utf8.RuneError:
		return true
	}
	return false
}

// fold maps spellings to one where any file system, mail server or person
// takes them for the same: compatibility forms, composition and case.
func fold(s string) string {
	s = strings.ToLower(strings.ToUpper(norm.NFKC.String(s)))
	return norm.NFKC.String(strings.ReplaceAll(s, "ß", "ss"))
}

// compatible is s with every character replaced by the plain one that it is
// a form of: U+FF0F becomes a slash, U+2025 two dots.
func compatible(s string) string { return norm.NFKC.String(s) }

// isHex tells whether s is one or more hexadecimal digits.
func isHex(s string) bool {
	for i := range len(s) {
		if _, ok := unhex(s[i]); !ok {
			return false
		}
	}
	return s != ""
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// escape reads the %XX that s begins with.
func escape(s string) (b byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	hi, ok1 := unhex(s[1])
	lo, ok2 := unhex(s[2])
	return hi<<4 | lo, ok1 && ok2
}

// listed gives the strings of a method's arguments, each a string or a list.
func listed(args []any) ([]string, error) {
	var out []string
	for _, arg := range args {
		switch arg := arg.(type) {
		case string:
			out = append(out, arg)
		case []string:
			out = append(out, arg...)
		case []any:
			for _, item := range arg {
				s, ok := item.(string)
				if !ok {
					return nil, fmt.Errorf("expected a string, found %T", item)
				}
				out = append(out, s)
			}
		default:
			return nil, fmt.Errorf("expected a string or a list of strings, found %T", arg)
		}
	}
	return out, nil
}

// parseRange reads a CIDR or a single address.
func parseRange(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return netip.Prefix{}, errors.New("it is not a CIDR")
		}
		if a := p.Addr(); a.Is4In6() {
			if p.Bits() < 96 {
				return netip.Prefix{}, errors.New("it mixes IPv4 and IPv6")
			}
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, errors.New("it is neither an address nor a CIDR")
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}
