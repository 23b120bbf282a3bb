package downstream

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
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
	// A request that is served, and what contradicts it in one place each.
	with := func(old, new string) string { return strings.Replace(strings.Join(header, "\n"), old, new, 1) }
	for _, lines := range []string{
		with("Name: echo", "Name: =?base64?ZWNobw==?="),
		with("Name: echo", "Name: =?base64?cmVnaW9u?="),
		with("Name: echo", "Name: region"),
		with("Name: echo", "Name: Echo"),
		with("\nMcp-Name: echo", ""),
		with("Name: echo", "Name: echo\nMcp-Name: region"),
		with("Method: tools/call", "Method: prompts/get"),
		with("Mcp-Method: tools/call\n", ""),
		with("Method: tools/call", "Method: tools/call\nMcp-Method: ping"),
		with("2026-07-28", "2025-11-25"),
		with("Mcp-Protocol-Version: 2026-07-28\n", ""),
		with("2026-07-28", "2026-07-28\nMcp-Protocol-Version: 2025-11-25"),
		with("Mcp-", "Sec-Fetch-Site: cross-site\nMcp-"),
	} {
		f.Add("POST", "/mcp", "127.0.0.1:8750", "", lines, []byte(body))
	}
	f.Add("POST", "/mcp", "127.0.0.1:8751", "", strings.Join(header, "\n"), []byte(body))
	f.Add("POST", "/mcp", "rebound.example.com:8750", "", strings.Join(header, "\n"), []byte(body))
	f.Add("POST", "/mcp", "127.0.0.1:8750", "https://evil.example.com", strings.Join(header, "\n"), []byte(body))
	f.Add("POST", "/mcp", "127.0.0.1:8750", "", strings.Join(header, "\n"), []byte(strings.Replace(body, "2026-07-28", "2025-11-25", 1)))
	told := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,` + metaJSON + `}}`
	f.Add("POST", "/mcp", "127.0.0.1:8750", "", with("\nMcp-Name: echo", ""), []byte(told))

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
			if err != nil || method != http.MethodPost || !isJSON(r.Header["Content-Type"]) {
				t.Errorf("passed on: %s %s %v %q (%v)", method, target, r.Header, body, err)
			} else if wrong := contradiction(r, body); wrong != "" {
				t.Errorf("passed on with a wrong %s: host %q, %v %q", wrong, r.Host, r.Header, body)
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

// contradiction names what of a request that was passed on should have kept it back: a
// Host or Origin that is not of this machine, or a header that says something else than the
// body, which is well-formed. It shares no code with what is tested.
func contradiction(r *http.Request, body []byte) string {
	local := func(host string) bool {
		a, err := netip.ParseAddr(strings.Trim(host, "[]"))
		return strings.EqualFold(host, "localhost") || err == nil && a.IsLoopback()
	}
	if at := strings.LastIndex(r.Host, ":"); at < 0 || r.Host[at:] != ":8750" || !local(r.Host[:at]) {
		return "Host"
	}
	if origins := r.Header.Values("Origin"); len(origins) > 0 {
		u, err := url.Parse(origins[0])
		if err != nil || len(origins) > 1 || !local(u.Hostname()) {
			return "Origin"
		}
	} else if slices.ContainsFunc(r.Header.Values("Sec-Fetch-Site"), func(v string) bool { return v != "none" && v != "same-origin" }) {
		return "Sec-Fetch-Site"
	}

	var message, params, meta map[string]json.RawMessage
	json.Unmarshal(body, &message)
	json.Unmarshal(message["params"], &params)
	json.Unmarshal(params["_meta"], &meta)
	text := func(raw json.RawMessage) (s string, ok bool) {
		return s, len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	}
	only := func(name string) (value string, n int) {
		for _, value = range r.Header.Values(name) {
			n++
		}
		return strings.Trim(value, " \t"), n
	}
	version, versions := only("Mcp-Protocol-Version")
	inBody, modern := text(meta["io.modelcontextprotocol/protocolVersion"])
	_, request := message["id"]
	switch {
	case versions > 1, versions == 1 && modern && version != inBody, !modern && request && version == "2026-07-28", modern && request && versions == 0:
		return "Mcp-Protocol-Version"
	case !modern:
		return "" // to the clients of earlier versions, the other headers mean nothing
	}
	method, methods := only("Mcp-Method")
	if called, _ := text(message["method"]); methods > 1 || methods == 1 && method != called || methods == 0 && request {
		return "Mcp-Method"
	}
	member, mirrored := map[string]string{"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}[method]
	want, is := text(params[member])
	name, names := only("Mcp-Name")
	if coded, ok := strings.CutPrefix(name, "=?base64?"); ok && strings.HasSuffix(coded, "?=") {
		plain, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(coded, "?="))
		if err != nil {
			return "Mcp-Name"
		}
		name = string(plain)
	}
	if names > 1 || mirrored && is && (names == 0 || name != want) {
		return "Mcp-Name"
	}
	return ""
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
