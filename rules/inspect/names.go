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
	f := flags{metadata: metadataNames[name]}
	service := false
	for rest, ok := name, true; ok; _, rest, ok = strings.Cut(rest, ".") {
		switch knownNames[rest] {
		case toThisMachine:
			f.loopback = true
		case toLocalNetwork:
			f.private = true
		case toAddressInName:
			service = true
		}
	}
	if service || strings.ContainsAny(name, "0123456789") {
		a, n := addressIn(name, service)
		if n > 0 {
			f.join(look(a).flags)
		}
		// A service answers with an address of its choice if the name holds none
		// or several.
		f.private = f.private || service && n != 1
	}
	if f.loopback || f.metadata {
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

// What is known of a name and of all names below it.
type known uint8

const (
	toThisMachine   known = iota + 1
	toLocalNetwork        // or nowhere
	toAddressInName       // or to one that changes, to get past a check that resolves the name first
)

var knownNames = func() map[string]known {
	names := map[string]known{}
	for kind, list := range map[known]string{
		// RFC 6761, the hosts files of the systems, and public names that
		// developers use.
		toThisMachine: `localhost localhost6 localdomain localdomain6 ip6-localhost ip6-loopback loopback
			localtest.me lvh.me vcap.me lacolhost.com fuf.me localho.st smackaho.st 127-0-0-1.org.uk lcl.host ulh.us local.gd
			localhost.direct bugbounty.dod.network spoofed.burpcollaborator.net localhost.domaincontrol.com`,
		// RFC 6761, 6762, 7686, 8375 and 9476, and names that routers and VPNs
		// answer.
		toLocalNetwork: `local internal intranet private corp home lan home.arpa test invalid example onion alt arpa
			fritz.box routerlogin.net routerlogin.com tplinkwifi.net tplinklogin.net ts.net`,
		toAddressInName: `nip.io sslip.io xip.io traefik.me backname.io local-ip.co local-ip.sh plex.direct
			rbndr.us 1u.ms rebind.network rebind.it`,
	} {
		for name := range strings.FieldsSeq(list) {
			names[name] = kind
		}
	}
	return names
}()

// metadataNames are those of the metadata services of Google, AWS, Tencent,
// Equinix, IBM, Azure and Rancher.
var metadataNames = map[string]bool{
	"metadata": true, "metadata.google.internal": true, "metadata.goog": true, "instance-data": true,
	"instance-data.ec2.internal": true, "metadata.tencentyun.com": true, "metadata.platformequinix.com": true,
	"metadata.packet.net": true, "api.metadata.cloud.ibm.com": true, "metadata.azure.internal": true,
	"rancher-metadata": true, "rancher-metadata.rancher.internal": true,
}
