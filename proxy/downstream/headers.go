package downstream

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
)

// Headers of the protocol, as net/http spells them.
const (
	headerVersion   = "Mcp-Protocol-Version"
	headerSession   = "Mcp-Session-Id"
	headerMethod    = "Mcp-Method"
	headerName      = "Mcp-Name"
	headerParam     = "Mcp-Param-"
	headerLastEvent = "Last-Event-Id"
	headerNamed     = "Mcp-Firewall-Session" // names the session of a modern client
)

// header returns the only value of a header, and false if it is missing. Two of the same
// name are an error even if they are equal: of several, every reader takes another one.
func header(h http.Header, name string) (value string, ok bool, err error) {
	values := h[name]
	switch len(values) {
	case 0:
		return "", false, nil
	case 1:
	default:
		return "", true, fmt.Errorf("there are %d %s headers", len(values), name)
	}
	for i := range len(values[0]) {
		// RFC 9110, section 5.5, without the obsolete obs-text, as the protocol demands.
		if c := values[0][i]; (c < ' ' || c > '~') && c != '\t' {
			return "", true, fmt.Errorf("the %s header has invalid characters", name)
		}
	}
	return strings.Trim(values[0], " \t"), true, nil
}

// nameSource says which member of params a method's Mcp-Name mirrors. Of the methods of
// the tasks extension, the header is checked where it is sent: not every client does.
var nameSource = map[string]struct {
	member   string
	required bool
}{
	"tools/call":     {"name", true},
	"prompts/get":    {"name", true},
	"resources/read": {"uri", true},
	"tasks/get":      {"taskId", false},
	"tasks/update":   {"taskId", false},
	"tasks/cancel":   {"taskId", false},
}

// checkStandard compares Mcp-Method and Mcp-Name with the message (2026-07-28,
// basic/transports/streamable-http, "Server Validation").
func checkStandard(h http.Header, m *jsonrpc.Message) error {
	method, ok, err := header(h, headerMethod)
	switch {
	case err != nil:
		return err
	case !ok && m.Kind == jsonrpc.Request:
		return fmt.Errorf("the %s header is missing", headerMethod)
	case ok && method != m.Method:
		return fmt.Errorf("the %s header %s does not match the body's %s", headerMethod, shown(method), shown(m.Method))
	}
	name, ok, err := header(h, headerName)
	if err != nil {
		return err
	}
	source, mirrored := nameSource[m.Method]
	if !mirrored {
		return nil
	}
	body := jsonrpc.Get(m.At(m.Params), source.member)
	switch {
	case !ok && source.required && len(body) > 0:
		return fmt.Errorf("the %s header is missing", headerName)
	case !ok:
		return nil
	}
	return compare(headerName, name, body)
}

// checkParams compares the Mcp-Param headers that the tool declares with the arguments.
// Others are ignored ("Server Behavior for Custom Headers").
func checkParams(h http.Header, m *jsonrpc.Message, declared []schema.HeaderParam) error {
	for _, p := range declared {
		name := http.CanonicalHeaderKey(headerParam + p.Header)
		value, ok, err := header(h, name)
		if err != nil {
			return err
		}
		body := jsonrpc.Get(m.At(m.Params), append([]string{"arguments"}, p.Path...)...)
		absent := len(body) == 0 || string(body) == "null"
		switch {
		case absent && ok:
			return fmt.Errorf("the %s header has no counterpart in the body", name)
		case absent:
		case !ok:
			return fmt.Errorf("the %s header is missing: the tool's schema asks for it", name)
		default:
			if err := compare(name, value, body); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare reports a difference between a header and the value in the body that it
// mirrors.
func compare(name, value string, body []byte) error {
	if len(body) > 0 && body[0] == '"' && !strings.HasPrefix(value, "=?") && jsonrpc.String(body) == value {
		return nil // nearly always, and it costs nothing
	}
	if _, err := schema.DecodeHeaderValue(value); err != nil {
		return fmt.Errorf("the %s header is malformed: %w", name, err)
	}
	if len(body) == 0 || !schema.HeaderMatches(value, body) {
		return fmt.Errorf("the %s header does not match the body", name)
	}
	return nil
}
