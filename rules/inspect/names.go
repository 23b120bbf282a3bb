package inspect

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// flagsOfName tells what a host name says about where it leads. It asks no
// resolver: a name that says nothing may still resolve to a private address.
func flagsOfName(name string) flags {
	var f flags
	if loopbackNames[name] || anySuffix(name, loopbackNames) {
		f.loopback = true
	}
	if metadataNames[name] {
		f.metadata = true
	}
	if loopback := anySuffix(name, addressServices); loopback || addressServices[name] {
		// These answer with the address that the name holds, and with one of
		// their choice if it holds none or several.
		a, n := addressIn(name, true)
		if n == 1 {
			f.join(look(a).flags)
		} else {
			f.private = true
		}
	} else if a, n := addressIn(name, false); n > 0 {
		if g := look(a).flags; g.private || n > 1 {
			f.join(g)
			f.private = true
		}
	}
	if f.loopback || f.metadata || privateNames[name] || anySuffix(name, privateNames) {
		f.private = true
	}
	if !f.private {
		// A single label is looked up in the search domains of the machine, or is
		// a container beside it. A top-level domain that is not on the list is not
		// in the public DNS.
		suffix, icann := publicsuffix.PublicSuffix(name)
		f.private = !strings.Contains(name, ".") || !icann && !strings.Contains(suffix, ".")
	}
	return f
}

// anySuffix tells whether name is below one of the names in set.
func anySuffix(name string, set map[string]bool) bool {
	for {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		if set[rest] {
			return true
		}
		name = rest
	}
}

// addressIn finds IPv4 addresses in a name, as four labels or as four numbers
// with hyphens between them, and in names of the services also as eight
// hexadecimal digits or as IPv6 with hyphens for colons. It gives the worst of
// them, a private one if there is one, and their number.
func addressIn(name string, service bool) (worst netip.Addr, n int) {
	labels := strings.Split(name, ".")
	note := func(a netip.Addr) {
		if n == 0 || look(a).private && !look(worst).private {
			worst = a
		}
		n++
	}
	for i, label := range labels {
		if i+4 <= len(labels) {
			if a, ok := quad(labels[i : i+4]); ok {
				note(a)
			}
		}
		parts := strings.Split(label, "-")
		for j := 0; j+4 <= len(parts); j++ {
			if a, ok := quad(parts[j : j+4]); ok {
				note(a)
			}
		}
		if !service {
			continue
		}
		for _, part := range parts {
			if len(part) == 8 && isHex(part) {
				v, _ := strconv.ParseUint(part, 16, 32)
				note(netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}))
			}
		}
		if strings.Contains(label, "-") {
			if a, err := netip.ParseAddr(strings.ReplaceAll(label, "-", ":")); err == nil {
				note(a)
			}
		}
	}
	return worst, n
}

func quad(parts []string) (netip.Addr, bool) {
	var b [4]byte
	for i, part := range parts {
		if !isDigits(part) || len(part) > 3 {
			return netip.Addr{}, false
		}
		v, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		b[i] = byte(v)
	}
	return netip.AddrFrom4(b), true
}

func nameSet(names string) map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.Fields(names) {
		set[name] = true
	}
	return set
}

var (
	// These names, and all below them, resolve to this machine: RFC 6761, the
	// hosts files of the systems, and public names that developers use.
	loopbackNames = nameSet(`localhost localhost6 localdomain localdomain6 ip6-localhost ip6-loopback loopback
		localtest.me lvh.me vcap.me lacolhost.com fuf.me localho.st smackaho.st 127-0-0-1.org.uk lcl.host ulh.us local.gd
		localhost.direct bugbounty.dod.network spoofed.burpcollaborator.net localhost.domaincontrol.com`)

	// These answer for any address that the name holds, or change their answer
	// to get past a check that resolves the name first.
	addressServices = nameSet(`nip.io sslip.io xip.io traefik.me backname.io local-ip.co local-ip.sh plex.direct
		rbndr.us 1u.ms rebind.network rebind.it`)

	// The names of the metadata services of Google, AWS, Tencent, Equinix, IBM,
	// Azure and Rancher.
	metadataNames = nameSet(`metadata metadata.google.internal metadata.goog instance-data instance-data.ec2.internal
		metadata.tencentyun.com metadata.platformequinix.com metadata.packet.net api.metadata.cloud.ibm.com
		metadata.azure.internal rancher-metadata rancher-metadata.rancher.internal`)

	// These names, and all below them, are answered by the local network: RFC
	// 6761, 6762, 7686, 8375 and 9476, and names that routers and VPNs answer.
	privateNames = nameSet(`local internal intranet private corp home lan home.arpa test invalid example onion alt arpa
		fritz.box routerlogin.net routerlogin.com tplinkwifi.net tplinklogin.net ts.net`)
)
