package pii

import (
	"bytes"
	"net/netip"
)

// address4 looks at four groups from first on as an IPv4 address and returns
// where it ends, or 0.
//
// Not addresses: versions (a 'v' or a word such as "version" before, a slash
// as in "Chrome/120.0.0.0" before), numbers with leading zeros. Not of a
// person: loopback, unspecified, multicast, reserved and broadcast addresses,
// and networks that end in .0.0.
func (s *scanner) address4(first int) int {
	c := &s.chain
	if s.d.types>>ip&1 == 0 || first+3 >= c.n || c.groups[first+1].sep != '.' {
		return 0
	}
	var b [4]byte
	for i := range 4 {
		g := c.groups[first+i]
		n := number(c.digits[g.at:min(g.at+g.n, g.at+4)])
		if i > 0 && (g.sep != '.' || g.start != c.groups[first+i-1].end+1) || n > 255 || g.n > 1 && c.digits[g.at] == '0' {
			return 0
		}
		b[i] = byte(n)
	}
	start, end := c.groups[first].start, c.groups[first+3].end
	if first > 0 && c.groups[first].sep == '.' || first+4 < c.n && c.groups[first+4].sep == '.' {
		return 0
	}
	if s.left(start) == inside || end < len(s.text) && isWord(s.text[end]) {
		return 0
	}
	if start > 1 && (s.text[start-1] == '/' && isWord(s.text[start-2]) || s.text[start-1] == '[' && s.text[start-2] == '@') {
		return 0
	}
	if b[0] == 0 || b[0] == 127 || b[0] >= 224 || b[2] == 0 && b[3] == 0 || s.near()&versionWord != 0 {
		return 0
	}
	if !s.add(start, end, ip) {
		return 0
	}
	return end
}

// address6 looks at the IPv6 address (RFC 4291 §2.2) around the word at start,
// whose first digit is at i, and returns where to go on, or 0 if there is no
// such thing. Times, MAC addresses and "a::b" of programs are none: what is
// shortened with "::" has to begin as an address that is in use does.
func (s *scanner) address6(start, i int) int {
	text := s.text
	end := start
	for end < len(text) && end-start <= 4 && isHex(text[end]) {
		end++
	}
	behind := end < len(text) && text[end] == ':' && end-start <= 4
	before := start > 1 && text[start-1] == ':' && (text[start-2] == ':' || isHex(text[start-2]))
	if !behind && !before {
		return 0
	}
	low := start
	for low > 0 && start-low < 40 && (isHex(text[low-1]) || text[low-1] == ':') {
		low--
	}
	end = start
	dots := 0
	for end < len(text) && end-low <= 48 && (isHex(text[end]) || text[end] == ':' || text[end] == '.') {
		if text[end] == '.' {
			if end+1 >= len(text) || !isDigit(text[end+1]) {
				break
			}
			dots++
		}
		end++
	}
	whole := end
	for end > low && text[end-1] == ':' && (end-2 < low || text[end-2] != ':') {
		end--
	}
	for low < end && text[low] == ':' && text[low+1] != ':' {
		low++
	}
	word := text[low:end]
	colons := bytes.Count(word, []byte{':'})
	if colons < 2 {
		return 0
	}
	if s.d.types>>ip&1 == 0 || low > 0 && (isWord(text[low-1]) || text[low-1] == '.') || end < len(text) && isWord(text[end]) {
		return timeEnd(low, whole, colons)
	}
	short := bytes.Contains(word, []byte("::"))
	if colons > 7 || !short && colons != 7 && dots == 0 || dots != 0 && dots != 3 || len(word) > 45 {
		return timeEnd(low, whole, colons)
	}
	a, err := netip.ParseAddr(string(word))
	if err != nil || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return timeEnd(low, whole, colons)
	}
	b := a.As16()
	used := b[0]>>5 == 1 || b[0]&0xfe == 0xfc || b[0] == 0xfe && b[1]&0xc0 == 0x80 || a.Is4In6() || b[0] == 0 && b[1] == 0x64
	if short && !used || !short && len(word) == 23 {
		return timeEnd(low, whole, colons)
	}
	s.add(low, end, ip)
	return end
}

// timeEnd returns where a word with several colons ends that is no address but
// a time or the address of a network card; 0 where parts of it may be
// something else.
func timeEnd(low, end, colons int) int {
	if end-low > 3*colons+2 {
		return 0
	}
	return end
}
