package pii

import (
	"bytes"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
)

// The longest parts of an address, in bytes (RFC 5321 §4.5.3.1).
const (
	maxLocal  = 64
	maxDomain = 255
)

// emails finds e-mail addresses: a local part of letters, digits and . _ % + -
// and ' (the rest of what RFC 5321 §4.1.2 allows is not in use, and would take
// in text around addresses), and a domain under a top-level domain that exists
// or that is used inside organisations, or an IP address in brackets. Letters
// are those of any script (RFC 6531).
func (s *scanner) emails(until time.Time) error {
	next, low := slice, 0
	ascii, wide := s.find(0, "@"), s.find(0, "\uff20")
	for {
		at, i := ascii, ascii+1
		if wide < ascii {
			at, i = wide, wide+len("\uff20")
		}
		if at == len(s.text) {
			return nil
		}
		if at >= next {
			if time.Now().After(until) {
				return ErrTime
			}
			next = at + slice
		}
		if end := s.email(low, at, i); end > 0 {
			i, low = end, end
		}
		// Each is looked for only once it was passed: far ones are not looked
		// for again and again.
		if ascii < i {
			ascii = s.find(i, "@")
		}
		if wide < i {
			wide = s.find(i, "\uff20")
		}
	}
}

// find returns where sign is from i on, or the end of the text.
func (s *scanner) find(i int, sign string) int {
	if n := bytes.Index(s.text[i:], []byte(sign)); n >= 0 {
		return i + n
	}
	return len(s.text)
}

// email looks at the address around the sign that ends at i, not before low,
// and returns where it ends, or 0.
func (s *scanner) email(low, at, i int) int {
	start := s.local(low, at)
	if start < 0 {
		return 0
	}
	end := s.domain(i)
	if end == 0 {
		return 0
	}
	sign := s.text[max(0, start-1):start]
	local := s.text[start:at]
	switch {
	case string(sign) == "/" && start >= 3 && string(s.text[start-3:start]) == "://":
		return 0 // the user of a URL
	case string(sign) == ":" && s.inURL(start-1):
		return 0 // its password
	case string(local) == "git" && end+1 < len(s.text) && s.text[end] == ':' && !unicode.IsSpace(rune(s.text[end+1])):
		return 0 // git@github.com:owner/repository
	case reserved(s.text[i:end]):
		if w, _ := read(before(s.text, start)); w&exampleWord != 0 {
			return 0 // nobody's, and said to be
		}
	}
	s.add(start, end, email)
	return end
}

// reserved says whether nobody has addresses in a domain: those of RFC 2606,
// and the ones that the documentation of Microsoft uses.
func reserved(domain []byte) bool {
	switch string(domain) {
	case "example.com", "example.org", "example.net", "contoso.com", "contoso.onmicrosoft.com", "fabrikam.com":
		return true
	}
	return false
}

// inURL says whether the ':' at i ends the user of a URL.
func (s *scanner) inURL(i int) bool {
	low := i
	for low > 0 && i-low < maxLocal && (isWord(s.text[low-1]) || s.text[low-1] == '-' || s.text[low-1] == '.') {
		low--
	}
	return low >= 3 && string(s.text[low-3:low]) == "://"
}

// local returns where the local part that ends at end begins, or -1.
func (s *scanner) local(low, end int) int {
	text := s.text
	i := end
	for i > low && end-i <= 2*maxLocal {
		c := text[i-1]
		if c < 0x80 {
			if isWord(c) || c == '.' || c == '+' || c == '-' || c == '%' || c == '\'' && i >= 2 && isWord(text[i-2]) {
				i--
				continue
			}
			break
		}
		r, n := utf8.DecodeLastRune(text[low:i])
		if !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && zeroWidth(text, i-n) == 0 || r == utf8.RuneError {
			break
		}
		i -= n
	}
	for i < end && (text[i] == '.' || text[i] == '-' || text[i] == '+' || text[i] == '%' || text[i] == '\'' || zeroWidth(text, i) > 0) {
		i += max(1, zeroWidth(text, i))
	}
	if i == end || end-i > maxLocal { // a dot at the end is against RFC 5321, but in use
		return -1
	}
	return i
}

// domain returns where the domain at i ends, or 0.
func (s *scanner) domain(i int) int {
	text := s.text
	if i < len(text) && text[i] == '[' {
		n := bytes.IndexByte(text[i:min(len(text), i+60)], ']')
		if n < 0 {
			return 0
		}
		if _, err := netip.ParseAddr(strings.TrimPrefix(string(text[i+1:i+n]), "IPv6:")); err != nil {
			return 0
		}
		return i + n + 1
	}
	var buf [maxDomain]byte
	var ends [16]struct{ text, buf int } // of the labels
	n, labels := 0, 0
	p := i
	label := 0
	for p < len(text) && n+4 < len(buf) {
		c := text[p]
		if c < 0x80 {
			if c == '.' {
				if n == label || labels == len(ends)-1 {
					break
				}
				ends[labels].text, ends[labels].buf = p, n
				labels++
				buf[n] = '.'
				n++
				p++
				label = n
				continue
			}
			if c == '_' || !isWord(c) && c != '-' || c == '-' && n == label {
				break
			}
			buf[n] = c
			if c-'A' < 26 {
				buf[n] |= 0x20
			}
			n++
			p++
			continue
		}
		if z := zeroWidth(text, p); z > 0 {
			p += z
			continue
		}
		r, size := utf8.DecodeRune(text[p:])
		if r == 0x3002 || r == 0xff0e || r == 0xff61 { // dots of IDNA (RFC 3490 §3.1)
			if n == label || labels == len(ends)-1 {
				break
			}
			ends[labels].text, ends[labels].buf = p, n
			labels++
			buf[n] = '.'
			n++
			p += size
			label = n
			continue
		}
		if !unicode.In(r, unicode.L, unicode.M, unicode.Nd) || r == utf8.RuneError {
			break
		}
		n += copy(buf[n:], text[p:p+size])
		p += size
	}
	if n > label {
		ends[labels].text, ends[labels].buf = p, n
		labels++
	}
	// What follows the domain may look like a further label: "a@b.com.Then".
	for ; labels >= 2; labels-- {
		e := ends[labels-1]
		name := buf[:e.buf]
		if name[len(name)-1] == '-' {
			name = bytes.TrimRight(name, "-")
			e.text -= e.buf - len(name)
		}
		if topLevel(name[bytes.LastIndexByte(name, '.')+1:]) {
			return e.text
		}
	}
	return 0
}

// topLevel says whether a domain is under a top-level domain in the DNS, or
// under one that is used where the DNS does not reach (RFC 6761, RFC 6762
// appendix G).
func topLevel(label []byte) bool {
	if len(label) < 2 {
		return false
	}
	for _, c := range label {
		if c >= 0x80 {
			return true
		}
	}
	switch string(label) {
	case "com", "org", "net", "edu", "gov", "de", "uk", "fr", "io", // by far the most
		"local", "internal", "intranet", "corp", "home", "lan", "private", "test", "example", "invalid", "localdomain":
		return true
	}
	if bytes.HasPrefix(label, []byte("xn--")) {
		return len(label) > 5
	}
	for _, c := range label {
		if !isLetter(c) {
			return false
		}
	}
	// With a label before it, as all names under some, such as ck, are suffixes.
	_, icann := publicsuffix.PublicSuffix("x." + string(label))
	return icann
}
