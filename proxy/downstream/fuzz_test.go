package downstream

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// FuzzHTTP sends arbitrary requests. None may panic, each refusal is well-formed, and
// nothing that breaks a rule is passed on.
func FuzzHTTP(f *testing.F) {
	body, header := modernCall("1", "echo", `{}`)
	f.Add("POST", "/mcp", "127.0.0.1:8750", "", strings.Join(header, "\n"), []byte(body))
	f.Add("POST", "/mcp", "127.0.0.1:8750", "http://localhost", "Mcp-Session-Id: x", []byte(call("1", "echo", `{}`)))
	f.Add("POST", "/mcp", "localhost:8750", "", "", []byte(initialize))
	f.Add("GET", "/mcp", "[::1]:8750", "null", "Mcp-Session-Id: x\nLast-Event-Id: p1-1", []byte{})
	f.Add("POST", "/message?sessionId=%00", "127.0.0.1:8750", "", "", []byte(`[]`))
	f.Add("DELETE", "/mcp", "evil.example.com", "", "Mcp-Protocol-Version: v999", []byte(nil))
	f.Add("POST", "/mcp", "127.0.0.1:8750", "", "Mcp-Method: tools/call\nMcp-Name: =?base64?x?=\nMcp-Param-Region: \xff", []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":5}}`))

	fx := newFixture(f)
	h := NewHTTP(fx.relay, HTTPOptions{MaxRequest: 1 << 16, MaxSessions: 8})
	f.Cleanup(h.Close)
	f.Fuzz(func(t *testing.T, method, target, host, origin, lines string, body []byte) {
		r, err := http.NewRequest(method, "http://x"+target, bytes.NewReader(body))
		if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "/sse") || bytes.Contains(body, []byte("block")) || bytes.Contains(body, []byte("elicit")) || bytes.Contains(body, []byte("subscriptions")) {
			return // what net/http refuses itself, and what waits by its nature
		}
		on := arrived(host)
		r = r.WithContext(on.Context())
		r.Host = host
		r.Header.Set("Content-Type", "application/json")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		for line := range strings.SplitSeq(lines, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				r.Header.Add(name, value)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)

		if id := w.Header().Get("Mcp-Session-Id"); id != "" {
			if s := h.session(id, h.o.Principal, false); s != nil {
				s.release()
				s.end()
			}
		}
		served := w.Code == http.StatusOK && r.URL.Path != "/healthz" || w.Code == http.StatusAccepted
		if served {
			_, err := jsonrpc.Parse(body, jsonrpc.Limits{MaxBytes: h.o.MaxRequest})
			if err != nil || method != http.MethodPost || checkHost(r, nil) != nil || checkOrigin(r, nil) != nil || !isJSON(r.Header["Content-Type"]) {
				t.Errorf("passed on: %s %s %v %q (%v)", method, target, r.Header, body, err)
			}
		}
		if w.Code >= 400 && w.Body.Len() > 0 && method != http.MethodHead {
			m, err := jsonrpc.Parse(addID(w.Body.Bytes()), jsonrpc.Limits{})
			if err != nil || m.Kind != jsonrpc.Failure {
				t.Errorf("refused with %d %q", w.Code, w.Body)
			}
		}
	})
}

// addID gives an error without an id one, since only responses without an id over HTTP
// may go without.
func addID(raw []byte) []byte {
	if bytes.HasPrefix(raw, []byte(`{"jsonrpc":"2.0","error"`)) {
		return bytes.Replace(raw, []byte(`{"jsonrpc":"2.0",`), []byte(`{"jsonrpc":"2.0","id":0,`), 1)
	}
	return raw
}

// FuzzGuard looks for a Host or Origin that is accepted and is not plainly of this
// machine.
func FuzzGuard(f *testing.F) {
	for _, s := range []string{"localhost:8750", "127.0.0.1:8750", "[::1]:8750", "evil.example.com:8750", "http://localhost:1", "https://127.0.0.1", "null"} {
		f.Add(s)
	}
	plain := func(host string) bool {
		host = strings.ToLower(host)
		for _, prefix := range []string{"localhost", "[::1]", "[0", "127."} {
			if rest, ok := strings.CutPrefix(host, prefix); ok && strings.Trim(rest, "0123456789.:]") == "" {
				return true
			}
		}
		return strings.HasPrefix(host, "[::") && strings.Trim(host, "[]:0123456789") == ""
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkHost(arrived(s), nil) == nil && !plain(s) {
			t.Errorf("Host %q was accepted", s)
		}
		_, authority, _ := strings.Cut(s, "://")
		if checkOrigin(arrived("127.0.0.1:8750", s), nil) == nil && !plain(authority) {
			t.Errorf("Origin %q was accepted", s)
		}
	})
}
