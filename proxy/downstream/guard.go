package downstream

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A web page can make a browser send requests to this server: from its own origin, or by
// DNS rebinding, where the page's own name suddenly resolves to 127.0.0.1. The first has
// a foreign Origin, the second a foreign Host. So both are checked on every path before
// anything else is looked at (2026-07-28, basic/transports/streamable-http, "Security").
//
// A request that needs no permission, such as that for an image, has no Origin. Browsers
// say with Sec-Fetch-Site where it comes from (W3C Fetch Metadata Request Headers), and
// the requests that open a stream must name its type, which no such request does.

// checkHost returns an error unless the request was sent to a name under which this
// server is meant to be reached: a loopback name or address, or the address that the
// connection was accepted on, with that connection's port, or one of allowed.
func checkHost(r *http.Request, allowed []string) error {
	if listed(allowed, r.Host) {
		return nil
	}
	host, port, err := splitHost(r.Host, r.TLS != nil)
	if err == nil {
		local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if ok && port == strconv.Itoa(local.Port) && (isLoopback(host) || sameAddr(host, local.IP)) {
			return nil
		}
	}
	return fmt.Errorf("the Host header %s is not a name of this server: use the address that it listens on, or add the name to its allowed hosts", shown(r.Host))
}

// checkOrigin returns an error if the request was made by a web page that is neither of
// this server, nor of a loopback address, nor of one of the allowed origins, or by a page
// that does not say which it is of. The Host was checked before.
func checkOrigin(r *http.Request, allowed []string) error {
	origins := r.Header["Origin"]
	switch len(origins) {
	case 0:
		return checkSite(r.Header["Sec-Fetch-Site"])
	case 1:
	default:
		return fmt.Errorf("there are %d Origin headers", len(origins))
	}
	origin := origins[0]
	if slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, origin) }) {
		return nil
	}
	u, err := url.Parse(origin)
	// An origin is scheme://host:port and nothing else (RFC 6454, section 6.1); "null", which
	// sandboxed pages send, has neither.
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.EqualFold(u.Scheme+"://"+u.Host, origin) {
		host, _, err := splitHost(u.Host, u.Scheme == "https")
		if err == nil && (isLoopback(host) || strings.EqualFold(u.Host, r.Host)) {
			return nil
		}
	}
	return fmt.Errorf("web pages of %s may not use this server: add the origin to its allowed origins", shown(origin))
}

// checkSite returns an error if a browser made the request, without an Origin, for a page
// that is not this server's own: for an image or a link in it, for example. A person who
// enters the address is "none".
func checkSite(values []string) error {
	for _, v := range values {
		if v != "none" && v != "same-origin" {
			return fmt.Errorf("web pages of other sites may not use this server (Sec-Fetch-Site %s)", shown(v))
		}
	}
	return nil
}

var errHost = errors.New("not a host with an optional port")

// splitHost splits a Host header. The port is the scheme's where it has none.
func splitHost(hostport string, tls bool) (host, port string, err error) {
	if strings.ContainsAny(hostport, "@/\\?#%, \t") {
		return "", "", errHost
	}
	host, port, err = net.SplitHostPort(hostport)
	if err != nil {
		port = "80"
		if tls {
			port = "443"
		}
		if host, _, err = net.SplitHostPort(hostport + ":" + port); err != nil {
			return "", "", errHost
		}
	}
	if host == "" || port == "" || strings.HasPrefix(hostport, "[") != strings.Contains(host, ":") {
		return "", "", errHost
	}
	return host, port, nil
}

// isLoopback is true for names and addresses that only this machine answers to. Other
// names under localhost, and other spellings of the address such as 127.1, are not
// needed by anybody and not accepted.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Zone() == "" && !a.Is4In6() && a.IsLoopback()
}

// sameAddr reports whether host is the literal address ip. A literal cannot be rebound.
func sameAddr(host string, ip net.IP) bool {
	a, err := netip.ParseAddr(host)
	b, ok := netip.AddrFromSlice(ip)
	return err == nil && ok && a.Zone() == "" && a == b.Unmap()
}

// listed reports whether the host is allowed: with its port, or by its name with any
// port.
func listed(allowed []string, hostport string) bool {
	if len(allowed) == 0 || hostport == "" {
		return false
	}
	host, _, err := splitHost(hostport, false)
	return err == nil && slices.ContainsFunc(allowed, func(a string) bool {
		return strings.EqualFold(a, hostport) || strings.EqualFold(strings.Trim(a, "[]"), host)
	})
}

// shown quotes a piece of a request for a message, bounded.
func shown(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// allowPages lets pages of the configured origins use the server from a browser (WHATWG
// Fetch, "CORS protocol"), and answers the browser's question whether they may.
func (h *HTTP) allowPages(w http.ResponseWriter, r *http.Request) (answered bool) {
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.ContainsFunc(h.o.Origins, func(a string) bool { return strings.EqualFold(a, origin) }) {
		return false
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", headerSession)
	header.Add("Vary", "Origin")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	header.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	if asked := r.Header["Access-Control-Request-Headers"]; len(asked) > 0 {
		header["Access-Control-Allow-Headers"] = asked // Mcp-Param headers have any name
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
