package downstream

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
)

// Members of a request's _meta (2026-07-28, basic/index, "_meta").
const (
	metaKey          = "_meta"
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
)

// post handles one message that a client sends to the MCP endpoint.
func (h *HTTP) post(w http.ResponseWriter, r *http.Request, principal string) *refusal {
	if f := h.enter(); f != nil {
		return f
	}
	defer h.leave()
	a := accepts(r.Header["Accept"])
	if !a.json && !a.events {
		return refuse(http.StatusNotAcceptable, jsonrpc.CodeInvalidRequest, "the Accept header must name application/json and text/event-stream")
	}
	m, f := h.readMessage(r)
	if f != nil {
		return f
	}
	version, f := checkVersion(r.Header, m)
	if f == nil && version == proxy.ModernVersion {
		f = h.modern(w, r, m, a, principal)
	} else if f == nil {
		f = h.legacy(w, r, m, a, principal)
	}
	if f != nil && m.Kind == jsonrpc.Request {
		f.id = m.At(m.ID)
	}
	return f
}

// acceptable is what a client takes as a response.
type acceptable struct {
	json, events bool
	named        bool // text/event-stream is accepted by its name, as no image or link in a web page does
}

// accepts reads the Accept header. The specification wants both types in it; clients that
// name only one, or none, get what they can take.
func accepts(values []string) acceptable {
	if len(values) == 0 {
		return acceptable{json: true, events: true}
	}
	var a acceptable
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			kind, params, _ := strings.Cut(part, ";")
			if q := strings.ReplaceAll(params, " ", ""); strings.HasPrefix(q, "q=0") && strings.Trim(q, "q=0.") == "" {
				continue
			}
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "application/json", "application/*":
				a.json = true
			case "text/event-stream":
				a.events, a.named = true, true
			case "text/*":
				a.events = true
			case "*/*":
				a.json, a.events = true, true
			}
		}
	}
	return a
}

// readMessage reads and parses the body of a POST.
func (h *HTTP) readMessage(r *http.Request) (*jsonrpc.Message, *refusal) {
	if !isJSON(r.Header["Content-Type"]) {
		return nil, refuse(http.StatusUnsupportedMediaType, jsonrpc.CodeInvalidRequest, "the Content-Type must be application/json, in UTF-8")
	}
	if r.Header["Content-Encoding"] != nil {
		return nil, refuse(http.StatusUnsupportedMediaType, jsonrpc.CodeInvalidRequest, "a Content-Encoding is not accepted")
	}
	if r.ContentLength > int64(h.o.MaxRequest) {
		return nil, h.tooLarge()
	}
	body, err := readBody(r, h.o.MaxRequest)
	switch {
	case errors.Is(err, errTooLong):
		return nil, h.tooLarge()
	case err != nil:
		f := refuse(http.StatusRequestTimeout, jsonrpc.CodeParse, "the body did not arrive, or not within %s", h.o.ReadTimeout)
		f.header = http.Header{"Connection": {"close"}}
		return nil, f
	}
	m, bad := parseMessage(body, h.o.MaxRequest)
	if bad != nil {
		f := refuse(http.StatusBadRequest, bad.Code, "%s", bad.Reason)
		f.id = bad.ID
		return nil, f
	}
	return m, nil
}

func (h *HTTP) tooLarge() *refusal {
	f := refuse(http.StatusRequestEntityTooLarge, jsonrpc.CodeInvalidRequest, "the body is above the limit of %d bytes", h.o.MaxRequest)
	f.header = http.Header{"Connection": {"close"}} // the rest is not read
	return f
}

func isJSON(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	if contentType[0] == "application/json" {
		return true
	}
	kind, params, err := mime.ParseMediaType(contentType[0])
	charset, given := params["charset"]
	return err == nil && kind == "application/json" && (!given || strings.EqualFold(charset, "utf-8"))
}

// trustedLength is up to how many bytes a Content-Length is believed before they came.
const trustedLength = 64 << 10

// readBody reads a body of at most max bytes into a buffer of its own.
func readBody(r *http.Request, max int) ([]byte, error) {
	if n := r.ContentLength; n >= 0 && n <= trustedLength {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	body := make([]byte, 0, trustedLength)
	for {
		if len(body) == cap(body) {
			// Three times as much is believed as has come, and one byte more shows the end.
			room := len(body)
			if left := r.ContentLength - int64(len(body)); left > 0 {
				room = int(min(left+1, 3*int64(room)))
			}
			body = append(make([]byte, 0, len(body)+room), body...)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > max:
			return nil, errTooLong
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// checkVersion tells the era of a message and returns the protocol version that it is to
// be handled with: the modern one, or for a legacy message its header's, which may be "".
//
// Modern is what states its version in _meta, or in the header one that is no legacy
// version, or has an Mcp-Method and nothing that is legacy. What is modern must be so in
// full: a version stated in two places must be the same (2026-07-28,
// basic/transports/streamable-http, "Request Metadata").
func checkVersion(h http.Header, m *jsonrpc.Message) (string, *refusal) {
	version, stated, err := header(h, headerVersion)
	if err != nil {
		return "", mismatch("%s", err)
	}
	meta := m.At(jsonrpc.Find(m.Raw, m.Params, metaKey))
	inBody := jsonrpc.Get(meta, metaVersion)
	legacy := stated && isLegacy(version) || h[headerSession] != nil && version != proxy.ModernVersion || m.Method == "initialize"
	switch {
	case len(inBody) > 0:
	case stated && !slices.Contains(proxy.SupportedVersions(), version):
		return "", unsupported(version)
	case stated && version == proxy.ModernVersion:
	case legacy || h[headerMethod] == nil:
		return version, nil
	}

	if m.Kind != jsonrpc.Request {
		if m.Kind != jsonrpc.Notification {
			return "", refuse(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "a client of protocol version %s sends no responses", proxy.ModernVersion)
		}
		if len(inBody) > 0 && stated && jsonrpc.String(inBody) != version {
			return "", mismatch("the %s header does not match the body", headerVersion)
		}
		return proxy.ModernVersion, nil
	}
	capabilities := jsonrpc.Get(meta, metaCapabilities)
	switch {
	case !stated:
		return "", mismatch("the %s header is missing", headerVersion)
	case len(inBody) == 0 || inBody[0] != '"':
		return "", refuse(http.StatusBadRequest, jsonrpc.CodeInvalidParams, "params._meta[%q] is missing or not a string", metaVersion)
	case jsonrpc.String(inBody) != version:
		return "", mismatch("the %s header %s does not match the body's %s", headerVersion, shown(version), shown(jsonrpc.String(inBody)))
	case version != proxy.ModernVersion:
		return "", unsupported(version)
	case len(capabilities) == 0 || capabilities[0] != '{':
		return "", refuse(http.StatusBadRequest, jsonrpc.CodeInvalidParams, "params._meta[%q] is missing or not an object", metaCapabilities)
	}
	return version, nil
}

func isLegacy(version string) bool { return slices.Contains(proxy.LegacyVersions, version) }

func mismatch(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, jsonrpc.CodeHeaderMismatch, "header mismatch: "+format, args...)
}

func unsupported(version string) *refusal {
	f := refuse(http.StatusBadRequest, jsonrpc.CodeUnsupportedVersion, "unsupported protocol version")
	data := []byte(`{"supported":[`)
	for i, v := range proxy.SupportedVersions() {
		if i > 0 {
			data = append(data, ',')
		}
		data = jsonrpc.AppendQuote(data, v)
	}
	data = append(data, `],"requested":`...)
	f.data = append(jsonrpc.AppendQuote(data, version), '}')
	return f
}

// modern handles a message of 2026-07-28 or later: no session, its own headers, and the
// end of the connection is the end of the request.
func (h *HTTP) modern(w http.ResponseWriter, r *http.Request, m *jsonrpc.Message, a acceptable, principal string) *refusal {
	if err := checkStandard(r.Header, m); err != nil {
		return mismatch("%s", err)
	}
	name, f := sessionName(r.Header)
	if f != nil {
		return f
	}
	s := h.relay.Stateless(proxy.Peer{Transport: "http", Principal: principal, Name: name})
	if s == nil {
		return tooMany("there are already as many named sessions as one principal may have: use one of their names, or wait until idle ones end")
	}
	defer s.Release()
	if m.Method == "tools/call" {
		tool, _ := jsonrpc.GetString(m.At(m.Params), "name")
		if err := checkParams(r.Header, m, s.HeaderParams(tool)); err != nil {
			return mismatch("%s", err)
		}
	}
	if m.Kind != jsonrpc.Request {
		return notify(r.Context(), s, m, w)
	}
	ctx := r.Context() // ends when the client leaves
	if m.Method == "subscriptions/listen" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer h.listening(cancel)()
	}
	return run(ctx, s, m, h.newReply(w, a, nil, nil))
}

// sessionName reads the name that a modern client gives its session in the firewall.
func sessionName(h http.Header) (string, *refusal) {
	name, given, err := header(h, headerNamed)
	switch {
	case err != nil:
		return "", refuse(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "%s", err)
	case given && (name == "" || len(name) > 128 || strings.ContainsAny(name, " \t")):
		return "", refuse(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, "the %s header is not 1 to 128 visible ASCII characters", headerNamed)
	}
	return name, nil
}

// run gives a request to the relay and returns when it was dealt with.
func run(ctx context.Context, s *proxy.Session, m *jsonrpc.Message, p *reply) *refusal {
	defer p.stop() // after a panic too: net/http lets the process live, and the response is over
	x := s.Begin(ctx, m, p)
	if x == nil {
		p.stop()
		return refuse(http.StatusInternalServerError, jsonrpc.CodeInternal, unchecked)
	}
	x.Run()
	p.finish()
	return nil
}

// notify gives a notification or a response to the relay.
func notify(ctx context.Context, s *proxy.Session, m *jsonrpc.Message, w http.ResponseWriter) *refusal {
	s.Begin(ctx, m, nil)
	w.WriteHeader(http.StatusAccepted)
	return nil
}
