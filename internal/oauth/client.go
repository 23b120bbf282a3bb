package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	maxBody  = 256 << 10 // bytes of a reply
	maxHead  = 32 << 10  // bytes of its header
	maxURL   = 2 << 10   // bytes of an address that another party names
	dialTime = 10 * time.Second
)

// reach is how requests leave.
type reach struct {
	roots *x509.CertPool // nil: the system's
	proxy func(*http.Request) (*url.URL, error)
}

// reply is an answer, read to its end.
type reply struct {
	status int
	body   []byte
}

// do sends a request and reads the answer. An address is chosen when it, or its origin,
// stands in the configuration, which may lead to private networks; what another party
// named may not.
func (s *Source) do(req *http.Request, chosen bool) (*reply, error) {
	req.Header.Set("Accept", "application/json")
	res, err := s.send(req, chosen)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		return nil, fmt.Errorf("it answered with HTTP status %d, a redirect, which is refused because credentials would follow it", res.StatusCode)
	}
	if res.Header.Get("Content-Encoding") != "" {
		return nil, errors.New("its answer has a content encoding that was not asked for")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, s.scrubbed(err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("its answer is above the limit of %d KiB", maxBody>>10)
	}
	return &reply{res.StatusCode, body}, nil
}

// send sends a request. Each has a connection of its own: they are rare, and a connection
// must not be used under another rule than it was made by.
func (s *Source) send(req *http.Request, chosen bool) (*http.Response, error) {
	chosen = chosen || s.o.AllowPrivate || sameOrigin(req.URL, s.server) || s.issuer != nil && sameOrigin(req.URL, s.issuer)
	if req.URL.Scheme != "https" && !chosen {
		return nil, errors.New("its address is not https; an http address on a private network needs oauth.allow_private")
	}
	proxy := s.reach.proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	through, err := proxy(req)
	if err != nil {
		return nil, errors.New("the HTTP proxy of the environment has no valid address")
	}
	if through != nil && (!chosen || req.URL.Scheme != "https") {
		// The proxy would resolve the name, so nobody could say where the request goes.
		return nil, errors.New("the environment has an HTTP proxy, behind which a private address cannot be told from a public one; set oauth.token_url, or add the host to NO_PROXY")
	}
	rule := func(network, address string, _ syscall.RawConn) error {
		return checkAddress(address, chosen, req.URL.Scheme == "https")
	}
	if through != nil {
		rule = nil
	}
	t := &http.Transport{
		Proxy:                  http.ProxyURL(through),
		DialContext:            (&net.Dialer{Timeout: dialTime, Control: rule}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.reach.roots},
		TLSHandshakeTimeout:    dialTime,
		MaxResponseHeaderBytes: maxHead,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
	req.Header.Set("User-Agent", "mcpfirewall")
	res, err := t.RoundTrip(req) // a Transport follows no redirect and keeps no cookie
	if err != nil {
		return nil, s.scrubbed(err)
	}
	return res, nil
}

// scrubbed returns err without secrets, and without what a context's end adds to it.
func (s *Source) scrubbed(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	return errors.New(s.o.Scrub(err.Error()))
}

// errPrivate says why a connection was not made.
var errPrivate = errors.New("its name leads to an address that is not public; if that is meant, set oauth.allow_private")

// checkAddress is asked before each connection, with the address that the name was
// resolved to, so that a name cannot change its meaning in between (DNS rebinding).
func checkAddress(address string, chosen, secure bool) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return errPrivate
	}
	switch public := isPublic(to.Addr()); {
	case !chosen && !public:
		return errPrivate
	case !secure && public:
		return errors.New("http is used on private networks only, and its name leads to a public address; use https")
	}
	return nil
}

// isPublic reports whether an address is one that the whole Internet reaches: by the
// special-purpose registries of IANA (RFC 6890), and less the addresses through which
// IPv6 reaches IPv4, since they would hide a private one.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return a.Is4() || globalV6.Contains(a)
}

var globalV6 = netip.MustParsePrefix("2000::/3")

var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/3",
	"168.63.129.16/32", // the metadata of Azure's machines, which has a public address
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// isLoopbackName reports whether a host is this machine, whatever a name server says.
func isLoopbackName(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// parseURL parses an address that something is sent to. The error is the end of a
// sentence that begins with whose address it is.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Opaque != "":
		// The error of url.Parse quotes the text, which may hold a secret.
		return nil, errors.New("is not a URL that begins with https:// and a host")
	case u.Fragment != "":
		return nil, errors.New("has a fragment")
	}
	return u, nil
}

// sameOrigin reports whether two addresses have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}
