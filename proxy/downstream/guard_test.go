package downstream

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// arrived is a request as it was accepted on 127.0.0.1:8750.
func arrived(host string, origins ...string) *http.Request {
	return arrivedOn("127.0.0.1", host, origins...)
}

func arrivedOn(ip, host string, origins ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	r.Host = host
	for _, o := range origins {
		r.Header.Add("Origin", o)
	}
	local := &net.TCPAddr{IP: net.ParseIP(ip), Port: 8750}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
}

func TestCheckHost(t *testing.T) {
	allowed := []string{"firewall.example.com", "other.example.com:8443", "[fd00::7]"}
	tests := []struct {
		host string
		ok   bool
	}{
		{"127.0.0.1:8750", true},
		{"localhost:8750", true},
		{"LOCALHOST:8750", true},
		{"[::1]:8750", true},
		{"127.9.9.9:8750", true},
		{"firewall.example.com", true},
		{"Firewall.Example.Com:9", true},
		{"other.example.com:8443", true},
		{"[fd00::7]:8750", true},

		{"", false},
		{"evil.example.com", false},
		{"evil.example.com:8750", false},
		{"127.0.0.1", false},      // port 80
		{"127.0.0.1:8751", false}, // another server's
		{"127.0.0.1:08750", false},
		{"127.0.0.1:", false},
		{"localhost:8750:8750", false},
		{"localhost.:8750", false},
		{"localhost.evil.example.com:8750", false},
		{"x.localhost:8750", false},
		{"127.0.0.1.nip.io:8750", false},
		{"127.0.0.1.:8750", false},
		{"127.1:8750", false},
		{"0177.0.0.1:8750", false},
		{"0x7f.0.0.1:8750", false},
		{"2130706433:8750", false},
		{"0.0.0.0:8750", false},
		{"[::]:8750", false},
		{"::1:8750", false},
		{"[::1%25lo]:8750", false},
		{"[::ffff:127.0.0.1]:8750", false},
		{"[localhost]:8750", false},
		{"localhost@evil.example.com:8750", false},
		{"evil.example.com#localhost:8750", false},
		{"localhost/:8750", false},
		{"localhost, evil.example.com:8750", false},
		{"other.example.com", false},
		{"other.example.com:8444", false},
		{"firewall.example.com.evil.example.com", false},
		{"192.168.1.7:8750", false},
		{"ｌocalhost:8750", false},
	}
	for _, tt := range tests {
		if err := checkHost(arrived(tt.host), allowed); (err == nil) != tt.ok {
			t.Errorf("Host %q: %v", tt.host, err)
		}
	}
	if err := checkHost(arrivedOn("192.168.1.7", "192.168.1.7:8750"), nil); err != nil {
		t.Errorf("the literal address that the connection came to: %v", err)
	}
	if err := checkHost(httptest.NewRequest(http.MethodGet, "http://localhost/", nil), nil); err == nil {
		t.Error("a request of which nobody knows where it arrived was accepted")
	}
}

func TestCheckOrigin(t *testing.T) {
	allowed := []string{"https://app.example.com"}
	tests := []struct {
		origins []string
		ok      bool
	}{
		{nil, true},
		{[]string{"http://localhost:8750"}, true},
		{[]string{"http://localhost:3000"}, true},
		{[]string{"http://127.0.0.1:8750"}, true},
		{[]string{"https://[::1]:1"}, true},
		{[]string{"https://app.example.com"}, true},
		{[]string{"HTTPS://App.Example.Com"}, true},

		{[]string{""}, false},
		{[]string{"null"}, false},
		{[]string{"https://evil.example.com"}, false},
		{[]string{"http://app.example.com"}, false},
		{[]string{"https://app.example.com:444"}, false},
		{[]string{"https://app.example.com.evil.example.com"}, false},
		{[]string{"http://localhost.evil.example.com"}, false},
		{[]string{"http://localhost:3000/"}, false},
		{[]string{"http://localhost:3000/path"}, false},
		{[]string{"http://evil@localhost:3000"}, false},
		{[]string{"http://localhost@evil.example.com"}, false},
		{[]string{"http://localhost\\@evil.example.com"}, false},
		{[]string{"localhost"}, false},
		{[]string{"//localhost"}, false},
		{[]string{"file://localhost"}, false},
		{[]string{"chrome-extension://localhost"}, false},
		{[]string{"http://127.1"}, false},
		{[]string{"http://localhost", "http://localhost"}, false},
		{[]string{"http://localhost http://evil.example.com"}, false},
	}
	for _, tt := range tests {
		if err := checkOrigin(arrived("127.0.0.1:8750", tt.origins...), allowed); (err == nil) != tt.ok {
			t.Errorf("Origin %q: %v", tt.origins, err)
		}
	}
	named := arrived("fw.example.com:8750", "https://fw.example.com:8750")
	if err := checkOrigin(named, nil); err != nil {
		t.Errorf("the server's own page: %v", err)
	}
}

// TestFetchMetadata checks what a page of another site can make a browser send without an
// Origin: opening a stream would start every server.
func TestFetchMetadata(t *testing.T) {
	s := newSite(t, HTTPOptions{Origins: []string{"https://app.example.com"}})
	v := s.visit("2025-11-25")
	session := "Mcp-Session-Id: " + v.id
	const named, image = "Accept: text/event-stream", "Accept: image/avif,image/webp,*/*;q=0.8"
	tests := []struct {
		path   string
		header []string
		status int
	}{
		{"/sse", []string{named}, 200},
		{"/sse", []string{named, "Sec-Fetch-Site: none"}, 200},
		{"/sse", []string{named, "Sec-Fetch-Site: same-origin"}, 200},
		{"/sse", []string{named, "Sec-Fetch-Site: cross-site", "Origin: https://app.example.com"}, 200},
		{"/sse", []string{named, "Sec-Fetch-Site: same-site", "Origin: http://localhost:3000"}, 200},
		{"/mcp", []string{named, session}, 200},

		{"/sse", []string{"Accept: */*"}, 406},
		{"/sse", []string{"Accept: text/*"}, 406},
		{"/sse", []string{"Accept: -"}, 406},
		{"/sse", []string{image}, 406},
		{"/mcp", []string{"Accept: */*", session}, 406},
		{"/mcp", []string{"Accept: -", session}, 406},

		{"/sse", []string{image, "Sec-Fetch-Site: cross-site"}, 403},
		{"/sse", []string{named, "Sec-Fetch-Site: cross-site"}, 403},
		{"/sse", []string{named, "Sec-Fetch-Site: same-site"}, 403},
		{"/sse", []string{named, "Sec-Fetch-Site: Same-Origin"}, 403},
		{"/sse", []string{named, "Sec-Fetch-Site: none, cross-site"}, 403},
		{"/sse", []string{named, "Sec-Fetch-Site: same-origin", "Origin: https://evil.example.com"}, 403},
		{"/mcp", []string{named, session, "Sec-Fetch-Site: cross-site"}, 403},
		{"/healthz", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"/healthz", nil, 200},
	}
	for _, tt := range tests {
		ctx, leave := context.WithCancel(context.Background())
		if res := s.do(ctx, http.MethodGet, tt.path, "", tt.header...); res.StatusCode != tt.status {
			t.Errorf("GET %s %q: got %d, want %d", tt.path, tt.header, res.StatusCode, tt.status)
		}
		leave()
	}
	if err := checkSite([]string{"none", "cross-site"}); err == nil {
		t.Error("the second of two Sec-Fetch-Site headers was not looked at")
	}
}
