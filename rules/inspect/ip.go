package inspect

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// IP is an address. The flags also count for an IPv4 address that an IPv6
// address carries: 64:ff9b::a9fe:a9fe is a metadata address.
type IP struct {
	Canonical string `expr:"canonical"` // RFC 5952, without zone; an IPv4-mapped address is written as IPv4
	Version   int    `expr:"version"`   // 4 or 6
	Zone      string `expr:"zone"`      // of a link-local IPv6 address; mostly empty
	Embedded  string `expr:"embedded"`  // the IPv4 address inside of an IPv6 address, or empty

	// Private: any address that the public internet does not route to a host, by
	// the special-purpose address registries of IANA. That is more than RFC 1918:
	// loopback, link-local, metadata, multicast, documentation and reserved
	// addresses are private too. Public is its opposite.
	Private   bool `expr:"private"`
	Public    bool `expr:"public"`
	Loopback  bool `expr:"loopback"`  // 127.0.0.0/8, ::1, and 0.0.0.0 and ::, which connect to this machine
	LinkLocal bool `expr:"linkLocal"` // 169.254.0.0/16, fe80::/10
	Metadata  bool `expr:"metadata"`  // where a cloud hands out credentials to the machine that asks
	Multicast bool `expr:"multicast"` // multicast and broadcast

	// In tells whether the address is in one of the given CIDRs or equal to one
	// of the given addresses; each argument is a string or a list of strings. It
	// is an error if that is so for the address but not for an IPv4 address
	// inside of it, or the other way around.
	In func(ranges ...any) (bool, error) `expr:"in"`
}

// ParseIP reads one address in any spelling of inet_aton(3) or RFC 4291:
// decimal, octal and hexadecimal parts, one to four of them, and IPv6 with an
// IPv4 address inside. Octal is refused if it gives another address when
// read as decimal (010.0.0.1 is 8.0.0.1 to some and 10.0.0.1 to others). A
// port, a prefix length, spaces and names are errors.
func ParseIP(s string) (*IP, error) {
	a, err := parseAddr(s)
	if err != nil {
		return nil, fmt.Errorf("not an IP address that everybody reads alike: %w", err)
	}
	l := look(a)
	ip := &IP{
		Canonical: l.text, Version: 6, Zone: a.Zone(),
		Private: l.private, Public: !l.private, Loopback: l.loopback, LinkLocal: l.linkLocal,
		Metadata: l.metadata, Multicast: l.multicast,
	}
	if l.readings[0].Is4() {
		ip.Version = 4
	}
	if len(l.readings) > 1 {
		ip.Embedded = l.readings[len(l.readings)-1].String()
	}
	ip.In = func(ranges ...any) (bool, error) {
		list, err := listed(ranges)
		if err != nil {
			return false, fmt.Errorf("ip in: %w", err)
		}
		prefixes := make([]netip.Prefix, len(list))
		for i, text := range list {
			if prefixes[i], err = parseRange(text); err != nil {
				return false, fmt.Errorf("ip in: argument %d: %w", i+1, err)
			}
		}
		return l.in(prefixes)
	}
	return ip, nil
}

func parseAddr(s string) (netip.Addr, error) {
	if ascii, err := checkText(s, 64); err != nil {
		return netip.Addr{}, err
	} else if !ascii {
		return netip.Addr{}, errors.New("it contains characters outside of ASCII")
	}
	if !strings.Contains(s, ":") {
		return parseIPv4(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, errors.New("it is not IPv6 (write it without brackets, port and prefix length)")
	}
	if zone := a.Zone(); zone != "" {
		if !a.IsLinkLocalUnicast() {
			return netip.Addr{}, errors.New("only a link-local address has a zone")
		}
		if strings.HasPrefix(zone, "25") {
			return netip.Addr{}, errors.New(`the zone follows "%25", which is "%" to readers of URLs`)
		}
		for i := range len(zone) {
			if c := zone[i]; !alphanumeric(c) && c != '-' && c != '_' && c != '.' {
				return netip.Addr{}, errors.New("the zone is not the name of an interface")
			}
		}
	}
	return a, nil
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// parseIPv4 reads what inet_aton reads, as the URL Standard does in its IPv4
// parser, except for what others read differently.
func parseIPv4(s string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a, nil
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, errors.New("it has more than four parts")
	}
	var addr uint64
	decimal, differs := true, false // all parts can be read as decimal, and that gives another address
	for i, part := range parts {
		limit := uint64(math.MaxUint8)
		if i == len(parts)-1 { // the last part fills all remaining bytes
			limit = 1<<(8*(5-len(parts))) - 1
		}
		digits, base, err := numeral(part)
		if err != nil {
			return netip.Addr{}, err
		}
		n, err := strconv.ParseUint(digits, base, 64)
		if err != nil || n > limit {
			return netip.Addr{}, errors.New("a part is not a number in its range")
		}
		d, err := strconv.ParseUint(digits, 10, 64)
		decimal = decimal && base != 16 && err == nil && d <= limit
		differs = differs || d != n
		if i < len(parts)-1 {
			n <<= 8 * (3 - i)
		}
		addr |= n
	}
	if decimal && differs {
		return netip.Addr{}, errors.New("a part with a leading zero is octal to some readers and decimal to others; write it in decimal without zeros before it")
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}), nil
}

// numeral tells how one part is to be read.
func numeral(part string) (digits string, base int, err error) {
	switch {
	case len(part) > 1 && part[0] == '0' && part[1]|0x20 == 'x':
		// "0x" alone is zero in the URL Standard and an error in inet_aton.
		if !isHex(part[2:]) {
			return "", 0, errors.New("a hexadecimal part has no digits")
		}
		return part[2:], 16, nil
	case !isDigits(part):
		return "", 0, errors.New("a part is not a number")
	case len(part) > 1 && part[0] == '0':
		return part, 8, nil
	}
	return part, 10, nil
}

// A sight is what there is to see in an address.
type sight struct {
	text     string
	readings []netip.Addr // the address, unmapped, and then the IPv4 addresses inside of it
	flags
}

type flags struct {
	private, loopback, linkLocal, metadata, multicast bool
}

func (f *flags) join(g flags) {
	f.private = f.private || g.private
	f.loopback = f.loopback || g.loopback
	f.linkLocal = f.linkLocal || g.linkLocal
	f.metadata = f.metadata || g.metadata
	f.multicast = f.multicast || g.multicast
}

func look(a netip.Addr) *sight {
	a = a.WithZone("").Unmap()
	l := &sight{text: a.String(), readings: append([]netip.Addr{a}, embedded(a)...)}
	for _, r := range l.readings {
		l.join(flagsOf(r))
	}
	return l
}

func (l *sight) in(prefixes []netip.Prefix) (bool, error) {
	var result bool
	for i, a := range l.readings {
		found := false
		for _, p := range prefixes {
			found = found || p.Contains(a)
		}
		if i == 0 {
			result = found
		} else if found != result {
			return false, errors.New("the IPv6 address and the IPv4 address inside of it are in different ranges")
		}
	}
	return result, nil
}

// embedded gives the IPv4 addresses to which a translator or tunnel would send
// what is sent to the IPv6 address a.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() || a.IsUnspecified() || a.IsLoopback() {
		return nil
	}
	b := a.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case nat64.Contains(a), compatPrefix.Contains(a), translated.Contains(a):
		return []netip.Addr{at(12)}
	case nat64Local.Contains(a):
		// RFC 8215 leaves the prefix length to the network; these are the positions
		// of RFC 6052 for /48 and /96.
		return []netip.Addr{netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}), at(12)}
	case sixToFour.Contains(a):
		return []netip.Addr{at(2)}
	case teredo.Contains(a):
		return []netip.Addr{at(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5E && b[11] == 0xFE: // ISATAP, RFC 5214
		return []netip.Addr{at(12)}
	}
	return nil
}

func flagsOf(a netip.Addr) flags {
	f := flags{
		loopback:  a.IsLoopback() || a.IsUnspecified(),
		linkLocal: a.IsLinkLocalUnicast(),
		multicast: a.IsMulticast() || a == broadcast,
		metadata:  metadataAddrs[a],
	}
	f.private = f.metadata || !routed(a)
	return f
}

// routed tells whether the registries of IANA call the address globally
// reachable.
func routed(a netip.Addr) bool {
	if a.Is4() {
		for _, p := range special4 {
			if p.Contains(a) {
				return false
			}
		}
		return true
	}
	if nat64.Contains(a) {
		return true // the address inside decides
	}
	if !globalUnicast.Contains(a) {
		return false
	}
	for _, p := range special6 {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

var (
	broadcast     = netip.MustParseAddr("255.255.255.255")
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Local    = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	compatPrefix  = netip.MustParsePrefix("::/96")          // RFC 4291 section 2.5.5.1
	translated    = netip.MustParsePrefix("::ffff:0:0:0/96")
	sixToFour     = netip.MustParsePrefix("2002::/16") // RFC 3056
	teredo        = netip.MustParsePrefix("2001::/32") // RFC 4380

	// Not globally reachable, from the IANA IPv4 Special-Purpose Address Registry
	// (RFC 6890), and multicast.
	special4 = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")

	// The same for what lies in 2000::/3. Of 2001::/23 a few protocol addresses
	// are reachable; nothing that a rule would want to allow.
	special6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

	metadataAddrs = addrs(
		"169.254.169.254",                 // AWS, Azure, Google Cloud, Oracle, DigitalOcean, OpenStack and more
		"169.254.170.2", "169.254.170.23", // AWS: tasks of ECS, pods of EKS
		"fd00:ec2::254", "fd00:ec2::23", // AWS
		"fd20:ce::254",                      // Google Cloud
		"168.63.129.16",                     // Azure: the host's agent
		"100.100.100.200",                   // Alibaba Cloud
		"192.0.0.192", "fd00:c1::a9fe:a9fe", // Oracle Cloud
		"169.254.42.42", "fd00:42::42", // Scaleway
		"169.254.0.23",    // Tencent Cloud
		"fe80::a9fe:a9fe", // OpenStack
	)
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

func addrs(texts ...string) map[netip.Addr]bool {
	out := make(map[netip.Addr]bool, len(texts))
	for _, text := range texts {
		out[netip.MustParseAddr(text)] = true
	}
	return out
}
