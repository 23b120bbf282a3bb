package inspect

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// A host is where a URL or an e-mail address leads.
type host struct {
	name   string // in lower case and ASCII; an IP address in canonical text
	domain string // registrable; empty for an address and for a public suffix itself
	ip     *sight // nil for a name
	flags
}

// parseHost reads a host name or an IPv4 address.
func parseHost(s string) (host, error) {
	name, err := normalName(s)
	if err != nil {
		return host{}, err
	}
	if endsInNumber(name) {
		a, err := parseIPv4(name)
		if err != nil {
			return host{}, errors.New("it ends in a number but is not an IPv4 address that everybody reads alike")
		}
		return addressHost(a), nil
	}
	h := host{name: name, flags: flagsOfName(name)}
	if suffix, _ := publicsuffix.PublicSuffix(name); len(suffix) < len(name) {
		rest := name[:len(name)-len(suffix)-1]
		h.domain = name[strings.LastIndexByte(rest, '.')+1:]
	}
	return h, nil
}

// normalName gives a host in lower case, in ASCII and without a final dot.
func normalName(s string) (string, error) {
	if len(s) > 4*maxName { // in any encoding; the work below grows with the square
		return "", errLongName
	}
	if strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "..") {
		s = s[:len(s)-1] // the root, which names the same host
		if s == "" || endsInNumber(s) {
			return "", errors.New("a final dot follows no name")
		}
	}
	name, ascii := lower(s)
	if !ascii || strings.Contains(name, "xn--") {
		var err error
		if name, err = toASCII(name); err != nil {
			return "", err
		}
	}
	return name, checkName(name)
}

func addressHost(a netip.Addr) host {
	l := look(a)
	return host{name: l.text, ip: l, flags: l.flags}
}

// in tells whether the host is one of the names, is below one, or is an
// address in one of the ranges. "*.example.com" is what is below example.com
// only.
func (h host) in(args []any) (bool, error) {
	list, err := listed(args)
	if err != nil {
		return false, err
	}
	var ranges []netip.Prefix
	found := false
	for i, text := range list {
		if strings.ContainsAny(text, ":/") || endsInNumber(text) {
			p, err := parseRange(strings.Trim(text, "[]"))
			if err != nil {
				return false, fmt.Errorf("argument %d: %w", i+1, err)
			}
			ranges = append(ranges, p)
			continue
		}
		below, wildcard := strings.CutPrefix(text, "*.")
		name, err := normalName(below)
		if err != nil {
			return false, fmt.Errorf("argument %d is neither a host name nor an address nor a CIDR", i+1)
		}
		if h.ip == nil {
			above, sub := strings.CutSuffix(h.name, name)
			found = found || sub && (strings.HasSuffix(above, ".") || above == "" && !wildcard)
		}
	}
	if h.ip != nil {
		return h.ip.in(ranges)
	}
	return found, nil
}

// lower is s with ASCII letters in lower case.
func lower(s string) (out string, ascii bool) {
	upper := false
	ascii = true
	for i := range len(s) {
		upper = upper || s[i] >= 'A' && s[i] <= 'Z'
		ascii = ascii && s[i] < 0x80
	}
	if !upper {
		return s, ascii
	}
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s), ascii
}

// maxName is the length of a host name in ASCII, without a final dot.
const maxName = 253

var errLongName = errors.New("it is longer than 253 characters")

// checkName takes letters, digits, hyphens and underscores in labels of up to
// 63 characters (RFC 1035 section 2.3.4), which is what DNS names of servers
// consist of in practice.
func checkName(s string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	if len(s) > maxName {
		return errLongName
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if c := s[i]; !alphanumeric(c) && c != '-' && c != '_' {
				return errors.New("it contains a character that no host name has")
			}
			continue
		}
		label := s[start:i]
		switch {
		case label == "":
			return errors.New("a label is empty")
		case len(label) > 63:
			return errors.New("a label is longer than 63 characters")
		case label[0] == '-' || label[len(label)-1] == '-':
			return errors.New("a label begins or ends with a hyphen")
		}
		start = i + 1
	}
	return nil
}

// endsInNumber is the URL Standard's "ends in a number" check: such a host is
// an IPv4 address or an error, never a name.
func endsInNumber(s string) bool {
	last := s[strings.LastIndexByte(s, '.')+1:]
	if len(last) >= 2 && last[0] == '0' && last[1]|0x20 == 'x' {
		return last[2:] == "" || isHex(last[2:])
	}
	return isDigits(last)
}

// toASCII turns an international name into its ASCII form. Only the normal
// form of a name is taken: a name that UTS 46 would first map (fullwidth
// letters, an ideographic full stop, a soft hyphen) is an address in one
// reader and an unknown name in the next.
func toASCII(s string) (string, error) {
	if strings.ContainsAny(s, "ßςẞ\u200c\u200d") {
		// IDNA 2003 maps these away, IDNA 2008 keeps them: two hosts.
		return "", errors.New("it contains a letter that old and new readers encode differently; write the name in its xn-- form")
	}
	ascii, err := idna.Lookup.ToASCII(s)
	if err != nil {
		return "", errors.New("it is not a valid international name")
	}
	shown, err := idna.Lookup.ToUnicode(ascii)
	if err != nil {
		return "", errors.New("its xn-- form is not valid")
	}
	again, err := idna.Lookup.ToASCII(shown)
	if err != nil || again != ascii {
		return "", errors.New("its xn-- form is not valid")
	}
	written, labels := strings.Split(s, "."), strings.Split(shown, ".")
	if len(written) != len(labels) {
		return "", errors.New("it contains characters that some readers replace by others")
	}
	latinTLD := !strings.HasPrefix(ascii[strings.LastIndexByte(ascii, '.')+1:], "xn--")
	for i, label := range labels {
		if encoded := strings.HasPrefix(written[i], "xn--"); !encoded && written[i] != label {
			return "", errors.New("it contains characters that some readers replace by others")
		} else if encoded && isASCII(label) {
			return "", errors.New("its xn-- form is not valid")
		} else if isASCII(label) {
			continue
		}
		if err := checkScripts(label, latinTLD); err != nil {
			return "", err
		}
	}
	return ascii, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// checkScripts refuses labels that were made to look like another: letters of
// scripts that are not written together (UTS 39, "highly restrictive"), letters
// that occur in phonetic notation only, and labels below an ASCII top-level
// domain that consist of Cyrillic, Greek or Armenian letters that look Latin.
func checkScripts(label string, latinTLD bool) error {
	var script string
	lookalikes, letters := 0, 0
	cjk := map[string]bool{"Han": true, "Hiragana": true, "Katakana": true, "Bopomofo": true, "Hangul": true}
	seen := map[string]bool{}
	for _, r := range label {
		if r >= 0x250 && r <= 0x2AF || r >= 0x1D00 && r <= 0x1DBF {
			return errors.New("it contains phonetic letters that look like others")
		}
		if !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && r != '-' && r != '・' {
			// IDNA 2008 has no symbols; some of them look like a slash or a dot.
			return errors.New("it contains a symbol")
		}
		name := scriptOf(r)
		if name == "Common" || name == "Inherited" {
			continue
		}
		if letters++; strings.ContainsRune(latinLike, r) {
			lookalikes++
		}
		seen[name] = true
		switch {
		case script == "" || script == name, cjk[script] && (cjk[name] || name == "Latin"):
		case script == "Latin" && cjk[name]:
			script = name
		default:
			return errors.New("it mixes letters of several scripts")
		}
		if script == "" {
			script = name
		}
	}
	if seen["Hangul"] && (seen["Hiragana"] || seen["Katakana"] || seen["Bopomofo"]) || seen["Bopomofo"] && (seen["Hiragana"] || seen["Katakana"]) {
		return errors.New("it mixes letters of several scripts")
	}
	if latinTLD && letters > 0 && lookalikes == letters && script != "Latin" {
		return errors.New("it consists of letters that look Latin but are not")
	}
	return nil
}

// latinLike are letters of other scripts that are drawn as Latin ones, from
// the confusables of UTS 39.
const latinLike = "асԁеһіјӏорԛѕԝхуъьҽпгѵѡ" + "ονιυρακχ" + "օոսհցզյք"

func scriptOf(r rune) string {
	switch { // the frequent ones first: the map has 170 tables
	case unicode.Is(unicode.Latin, r):
		return "Latin"
	case unicode.Is(unicode.Common, r):
		return "Common"
	case unicode.Is(unicode.Cyrillic, r):
		return "Cyrillic"
	case unicode.Is(unicode.Han, r):
		return "Han"
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return "Unknown"
}
