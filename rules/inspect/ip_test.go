package inspect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// letters shortens flags: p(rivate), l(oopback), k (link-local), m(etadata), c (multicast).
func (f flags) letters() string {
	var b strings.Builder
	for i, on := range []bool{f.private, f.loopback, f.linkLocal, f.metadata, f.multicast} {
		if on {
			b.WriteByte("plkmc"[i])
		}
	}
	return b.String()
}

func TestParseIP(t *testing.T) {
	for _, test := range []struct{ in, canonical, embedded, flags string }{
		{"93.184.216.34", "93.184.216.34", "", ""},
		{"8.8.8.8", "8.8.8.8", "", ""},
		{"127.0.0.1", "127.0.0.1", "", "pl"},
		{"127.1", "127.0.0.1", "", "pl"},
		{"127.0.1", "127.0.0.1", "", "pl"},
		{"127.65535", "127.0.255.255", "", "pl"},
		{"2130706433", "127.0.0.1", "", "pl"},
		{"0x7f000001", "127.0.0.1", "", "pl"},
		{"0X7F000001", "127.0.0.1", "", "pl"},
		{"0x7f.1", "127.0.0.1", "", "pl"},
		{"0x7f.0x0.0x0.0x1", "127.0.0.1", "", "pl"},
		{"0x000000007f.1", "127.0.0.1", "", "pl"},
		{"017700000001", "127.0.0.1", "", "pl"},
		{"127.0.0.01", "127.0.0.1", "", "pl"},
		{"0300.0250.0.1", "192.168.0.1", "", "p"},
		{"0xa9.0376.0xa9.0376", "169.254.169.254", "", "pkm"},
		{"0", "0.0.0.0", "", "pl"},
		{"0.0.0.0", "0.0.0.0", "", "pl"},
		{"00.0.0.0", "0.0.0.0", "", "pl"},
		{"10.1", "10.0.0.1", "", "p"},
		{"172.31.255.255", "172.31.255.255", "", "p"},
		{"172.32.0.0", "172.32.0.0", "", ""},
		{"192.168.1", "192.168.0.1", "", "p"},
		{"3232235777", "192.168.1.1", "", "p"},
		{"100.64.0.1", "100.64.0.1", "", "p"},
		{"100.128.0.1", "100.128.0.1", "", ""},
		{"198.19.255.255", "198.19.255.255", "", "p"},
		{"192.0.2.1", "192.0.2.1", "", "p"},
		{"192.88.99.1", "192.88.99.1", "", "p"},
		{"240.0.0.1", "240.0.0.1", "", "p"},
		{"255.255.255.255", "255.255.255.255", "", "pc"},
		{"4294967295", "255.255.255.255", "", "pc"},
		{"224.0.0.251", "224.0.0.251", "", "pc"},
		{"169.254.169.254", "169.254.169.254", "", "pkm"},
		{"2852039166", "169.254.169.254", "", "pkm"},
		{"0xA9FEA9FE", "169.254.169.254", "", "pkm"},
		{"169.254.43518", "169.254.169.254", "", "pkm"},
		{"169.254.1.1", "169.254.1.1", "", "pk"},
		{"168.63.129.16", "168.63.129.16", "", "pm"},
		{"100.100.100.200", "100.100.100.200", "", "pm"},
		{"192.0.0.192", "192.0.0.192", "", "pm"},

		{"::", "::", "", "pl"},
		{"::1", "::1", "", "pl"},
		{"0:0:0:0:0:0:0:1", "::1", "", "pl"},
		{"0000:0000:0000:0000:0000:0000:0000:0001", "::1", "", "pl"},
		{"2606:4700:4700::1111", "2606:4700:4700::1111", "", ""},
		{"2606:4700:4700:0:0::1111", "2606:4700:4700::1111", "", ""},
		{"FE80::1", "fe80::1", "", "pk"},
		{"fe80::1%eth0", "fe80::1", "", "pk"},
		{"febf::1", "febf::1", "", "pk"},
		{"fec0::1", "fec0::1", "", "p"}, // site-local, deprecated
		{"fc00::1", "fc00::1", "", "p"},
		{"fd00:ec2::254", "fd00:ec2::254", "", "pm"},
		{"FD00:0EC2:0::0254", "fd00:ec2::254", "", "pm"},
		{"fd20:ce::254", "fd20:ce::254", "", "pm"},
		{"ff02::1", "ff02::1", "", "pc"},
		{"2001:db8::1", "2001:db8::1", "", "p"},
		{"3fff::1", "3fff::1", "", "p"},
		{"4000::1", "4000::1", "", "p"},
		{"100::1", "100::1", "", "p"},
		{"5f00::1", "5f00::1", "", "p"},

		// IPv4 inside of IPv6.
		{"::ffff:127.0.0.1", "127.0.0.1", "", "pl"},
		{"::FFFF:7F00:1", "127.0.0.1", "", "pl"},
		{"0:0:0:0:0:ffff:a9fe:a9fe", "169.254.169.254", "", "pkm"},
		{"::ffff:8.8.8.8", "8.8.8.8", "", ""},
		{"::127.0.0.1", "::7f00:1", "127.0.0.1", "pl"},
		{"::8.8.8.8", "::808:808", "8.8.8.8", "p"},
		{"::ffff:0:10.0.0.1", "::ffff:0:a00:1", "10.0.0.1", "p"},
		{"64:ff9b::8.8.8.8", "64:ff9b::808:808", "8.8.8.8", ""},
		{"64:ff9b::10.0.0.1", "64:ff9b::a00:1", "10.0.0.1", "p"},
		{"64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe", "169.254.169.254", "pkm"},
		{"64:ff9b:1::7f00:1", "64:ff9b:1::7f00:1", "127.0.0.1", "pl"},
		{"64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9fe:a9:fe00::", "0.0.0.0", "plkm"}, // at the position for /48
		{"2002:7f00:1::", "2002:7f00:1::", "127.0.0.1", "pl"},
		{"2002:a9fe:a9fe::1", "2002:a9fe:a9fe::1", "169.254.169.254", "pkm"},
		{"2002:808:808::1", "2002:808:808::1", "8.8.8.8", "p"},
		{"2001:0:808:808::80ff:fffe", "2001:0:808:808::80ff:fffe", "127.0.0.1", "pl"}, // Teredo: the client, inverted
		{"2001:0:7f00:1::f7f7:f7f7", "2001:0:7f00:1:0:0:f7f7:f7f7", "8.8.8.8", "pl"},  // Teredo: the server
		{"2a00:1450::5efe:10.0.0.1", "2a00:1450::5efe:a00:1", "10.0.0.1", "p"},        // ISATAP
		{"2a00:1450::200:5efe:8.8.8.8", "2a00:1450::200:5efe:808:808", "8.8.8.8", ""},
	} {
		ip, err := ParseIP(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		got := flags{ip.Private, ip.Loopback, ip.LinkLocal, ip.Metadata, ip.Multicast}.letters()
		canonical := netip.MustParseAddr(test.canonical).String()
		if ip.Canonical != canonical || ip.Embedded != test.embedded || got != test.flags || ip.Public == ip.Private {
			t.Errorf("%s: got %s, inside %q, flags %q, public %v; want %s, %q, %q", test.in, ip.Canonical, ip.Embedded, got, ip.Public, canonical, test.embedded, test.flags)
		}
		if want := netip.MustParseAddr(canonical).BitLen(); ip.Version == 4 != (want == 32) {
			t.Errorf("%s: version %d", test.in, ip.Version)
		}
	}
}

func TestParseIPRefuses(t *testing.T) {
	for _, s := range []string{
		"", " ", "127.0.0.1 ", " 127.0.0.1", "127.0.0.1\n", "127.0.0.1\x00", "127.0.0.1\x00.example.com", "\t127.0.0.1",
		"010.0.0.1", "0177.0.0.1", "0177.1", "127.0.0.010", "012.012.012.012", "0100.1", // octal or decimal
		"08.0.0.1", "09", "0x", "0x.0x.0x.0x", "0x7g", "0b1111111.1", "0o177.1", "1e3", "+127.0.0.1", "-1", "127.0.0.-1", "1_0.0.0.1",
		"256.0.0.1", "127.0.0.256", "127.0.65536", "127.16777216", "4294967296", "0x100000000", "18446744073709551617",
		"1.2.3.4.5", "1.2.3.4.", ".1.2.3.4", "1..2", ".", "127.0.0.1:80", "127.0.0.1/8", "127.0.0.1/32", "[::1]", "[127.0.0.1]",
		"localhost", "example.com", "１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "127.0.0.¹", "٣.٣.٣.٣",
		"::1%eth0", "::ffff:127.0.0.1%1", "2606:4700::1%1", "fe80::1%", "fe80::1%25eth0", "fe80::1%eth0/..", "fe80::1%a b", "fe80::1%\n",
		":::1", "1::2::3", "::ffff:127.1", "::ffff:0177.0.0.1", "::ffff:0x7f.0.0.1", "::1.2.3", "12345::1", "::g", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", ":1", "1:",
		strings.Repeat("0", 60) + "127.1",
	} {
		if ip, err := ParseIP(s); err == nil {
			t.Errorf("%q was read as %s", s, ip.Canonical)
		}
	}
}

func TestIPIn(t *testing.T) {
	for _, test := range []struct {
		ip     string
		ranges []any
		want   string
	}{
		{"10.1.2.3", []any{"10.0.0.0/8"}, "true"},
		{"0xa.66051", []any{"10.0.0.0/8"}, "true"},
		{"10.1.2.3", []any{"10.9.9.9/8"}, "true"},
		{"10.1.2.3", []any{"192.168.0.0/16", "10.1.2.3"}, "true"},
		{"10.1.2.3", []any{[]any{"192.168.0.0/16", "10.1.2.3"}}, "true"},
		{"10.1.2.3", []any{[]string{"192.168.0.0/16"}}, "false"},
		{"10.1.2.3", nil, "false"},
		{"::ffff:10.1.2.3", []any{"10.0.0.0/8"}, "true"},
		{"10.1.2.3", []any{"::ffff:10.0.0.0/104"}, "true"},
		{"10.1.2.3", []any{"::/0"}, "false"},
		{"fe80::1%eth0", []any{"fe80::/10"}, "true"},
		{"64:ff9b::a00:1", []any{"10.0.0.0/8"}, "error"},
		{"64:ff9b::a00:1", []any{"64:ff9b::/96"}, "error"},
		{"64:ff9b::a00:1", []any{"64:ff9b::/96", "10.0.0.0/8"}, "true"},
		{"64:ff9b::a00:1", []any{"192.168.0.0/16"}, "false"},
		{"10.1.2.3", []any{"10.0.0.0/33"}, "error"},
		{"10.1.2.3", []any{"10.0.0"}, "error"},
		{"10.1.2.3", []any{"::ffff:0:0/90"}, "error"},
		{"10.1.2.3", []any{"fe80::1%eth0"}, "error"},
		{"10.1.2.3", []any{"example.com"}, "error"},
		{"10.1.2.3", []any{1}, "error"},
		{"10.1.2.3", []any{[]any{1}}, "error"},
	} {
		ip, err := ParseIP(test.ip)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer(ip.In(test.ranges...)); got != test.want {
			t.Errorf("%s in %v: got %s, want %s", test.ip, test.ranges, got, test.want)
		}
	}
}

// answer is what a rule comes to.
func answer(b bool, err error) string {
	if err != nil {
		return "error"
	}
	return fmt.Sprint(b)
}

// inetAton is inet_aton(3) of the GNU C library.
func inetAton(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	var value uint64
	for i, part := range parts {
		if part == "" || part[0] < '0' || part[0] > '9' || strings.Contains(part, "_") || i > 3 {
			return netip.Addr{}, false
		}
		if len(part) > 1 && part[0] == '0' && strings.ContainsAny(part[1:2], "bBoO") {
			return netip.Addr{}, false
		}
		v, err := strconv.ParseUint(part, 0, 64)
		max := uint64(255)
		if i == len(parts)-1 {
			max = 1<<(8*uint(4-i)) - 1
		}
		if err != nil || v > max {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			value |= v
		} else {
			value |= v << (8 * uint(3-i))
		}
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(value))
	return netip.AddrFrom4(b), true
}

func FuzzParseIP(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "0x7f.1", "017700000001", "0300.0250.1", "::ffff:1.2.3.4", "fe80::1%eth0", "64:ff9b::1", "2002::1", "1.2.3.4.5", "08.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ip, err := ParseIP(s)
		if err != nil {
			if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
				t.Fatalf("%q is the ordinary spelling of %s and was refused", s, a)
			}
			return
		}
		canonical, err := netip.ParseAddr(ip.Canonical)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		var want netip.Addr
		if strings.Contains(s, ":") {
			a, err := netip.ParseAddr(s)
			if err != nil {
				t.Fatalf("%q is not IPv6", s)
			}
			want = a.WithZone("").Unmap()
		} else {
			a, ok := inetAton(s)
			if !ok {
				t.Fatalf("%q is nothing to inet_aton and %s here", s, canonical)
			}
			want = a
			if d, ok := decimalReading(s); ok && d != want {
				t.Fatalf("%q is %s in decimal and %s here", s, d, canonical)
			}
		}
		if canonical != want {
			t.Fatalf("%q: got %s, want %s", s, canonical, want)
		}
		if ip.Public == ip.Private || (ip.Loopback || ip.LinkLocal || ip.Metadata || ip.Multicast) && !ip.Private {
			t.Fatalf("%q: contradictory flags", s)
		}
		if (want.IsPrivate() || want.IsLoopback() || want.IsLinkLocalUnicast() || want.IsMulticast() || !want.IsGlobalUnicast()) && !ip.Private {
			t.Fatalf("%q: %s is not private", s, want)
		}
		again, err := ParseIP(ip.Canonical)
		if err != nil || again.Canonical != ip.Canonical || again.Private != ip.Private {
			t.Fatalf("%q: the canonical text %q gives something else: %v", s, ip.Canonical, err)
		}
	})
}

// decimalReading is that of a reader that drops leading zeros.
func decimalReading(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	for i, part := range parts {
		if !isDigits(part) {
			return netip.Addr{}, false
		}
		if parts[i] = strings.TrimLeft(part, "0"); parts[i] == "" {
			parts[i] = "0"
		}
	}
	return inetAton(strings.Join(parts, "."))
}
