package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// This file judges what a server asks of the client before the client sees it.

// can reports whether a client with these capabilities takes the request.
func can(caps []byte, method string, params []byte) bool {
	has := func(path ...string) bool { return len(jsonrpc.Get(caps, path...)) > 0 }
	switch method {
	case "sampling/createMessage":
		return has("sampling")
	case "roots/list":
		return has("roots")
	case "elicitation/create":
		if mode, _ := jsonrpc.GetString(params, "mode"); mode == "url" {
			return has("elicitation", "url")
		}
		// An empty object means form mode (2025-11-25, client/elicitation).
		return has("elicitation") && (has("elicitation", "form") || !has("elicitation", "url"))
	}
	return false
}

// vet applies the server's configuration to a request of its, and returns the params that
// the client is to see.
func (c *conn) vet(method string, params []byte) ([]byte, error) {
	denied := func(key string) error {
		return fmt.Errorf("the configuration denies server %s %s; `%s: allow` under its name lets it ask", c.name, key, key)
	}
	switch method {
	case "sampling/createMessage":
		if !c.cfg.Sampling {
			return nil, denied("sampling")
		}
	case "roots/list":
		if !c.cfg.Roots {
			return nil, denied("roots")
		}
	case "elicitation/create":
		if !c.cfg.Elicitation {
			return nil, denied("elicitation")
		}
	default:
		return nil, errors.New("the firewall knows no such request")
	}
	if len(params) == 0 {
		params = nil // there are none, which is not the same as empty ones
	} else {
		whole := jsonrpc.Span{End: len(params)}
		if params[0] != '{' {
			return nil, errors.New("the params of the server's request are not an object")
		}
		if table[method].params.Clash(params, whole) != "" || metaNames.Clash(params, jsonrpc.Find(params, whole, "_meta")) != "" {
			return nil, errNames
		}
		params = jsonrpc.DropMembers(dropOwn(params), func(n string) bool { return n == "task" }) // see mayTask
	}
	if method == "elicitation/create" {
		return c.vetElicitation(params)
	}
	return params, nil
}

var errNames = errors.New("the server asked in a way that is not to be trusted: a name in its request equals another or a known one but for upper and lower case")

var requestNames = jsonrpc.NewNames("method", "params")

// vetRequests judges the inputRequests object of a server at span. It returns the object
// as a client with these capabilities is to see it, and the keys of its requests.
func (c *conn) vetRequests(caps, raw []byte, span jsonrpc.Span) (requests []byte, keys []string, err error) {
	defer func() {
		if err != nil {
			c.log.Warn().Str("reason", err.Error()).Msg("request of the server refused")
		}
	}()
	if anyNames.Clash(raw, span) != "" {
		return nil, nil, errNames
	}
	requests = []byte{'{'}
	for name, value := range jsonrpc.Members(raw, span) {
		key, request := jsonrpc.String(raw[name.Start:name.End]), raw[value.Start:value.End:value.End]
		switch {
		case requestNames.Clash(request, jsonrpc.Span{End: len(request)}) != "":
			return nil, nil, errNames
		case isOwn(raw[name.Start:name.End]):
			return nil, nil, errors.New("the server asked under a name that is the firewall's own")
		case len(keys) == maxAsking:
			return nil, nil, fmt.Errorf("the server asked for more than %d things at once", maxAsking)
		}
		method, _ := jsonrpc.GetString(request, "method")
		params, err := c.vet(method, jsonrpc.Get(request, "params"))
		if err != nil {
			return nil, nil, err
		}
		if !can(caps, method, params) {
			return nil, nil, fmt.Errorf("the server asked for %s, which the client does not support", visible.Name(method))
		}
		if params != nil {
			request = jsonrpc.SetMember(request, "params", params)
		}
		if len(keys) > 0 {
			requests = append(requests, ',')
		}
		requests = append(append(jsonrpc.AppendQuote(requests, key), ':'), request...)
		keys = append(keys, key)
	}
	return append(requests, '}'), keys, nil
}

// anyNames is for objects whose names are data: they may differ from each other in more
// than case, and that is all.
var anyNames = jsonrpc.NewNames()

// urlErrorNames are those in the data of an error -32042.
var urlErrorNames = jsonrpc.NewNames("elicitations")

// vetURLError judges what an error -32042 asks the user to open (2025-11-25,
// client/elicitation "URL Elicitation Required Error") and returns the error's data as
// the client is to see it.
func (x *Exchange) vetURLError(c *conn, data []byte) ([]byte, error) {
	if x.modern {
		return nil, errors.New("the server said so with error -32042, which protocol " + ModernVersion + " forbids; a client of protocol 2025-11-25 can be asked this way")
	}
	whole := jsonrpc.Span{End: len(data)}
	if urlErrorNames.Clash(data, whole) != "" {
		return nil, errNames
	}
	span := jsonrpc.Find(data, whole, "elicitations")
	list := []byte{'['}
	n := 0
	for el := range jsonrpc.Elements(data, span) {
		params, err := c.vet("elicitation/create", data[el.Start:el.End:el.End])
		if err != nil {
			return nil, err
		}
		if mode, _ := jsonrpc.GetString(params, "mode"); mode != "url" {
			return nil, errors.New("the server asked for something that is no URL")
		}
		if !can(x.identity.caps, "elicitation/create", params) {
			return nil, errors.New("the client does not support it")
		}
		if n++; n > maxAsking {
			return nil, fmt.Errorf("the server asked for more than %d things at once", maxAsking)
		}
		if n > 1 {
			list = append(list, ',')
		}
		list = append(list, params...)
	}
	if n == 0 {
		return nil, errors.New("the server did not say which URL")
	}
	return jsonrpc.Splice(data, jsonrpc.Edit{Span: span, New: append(list, ']')}), nil
}

// dropOwn takes the firewall's own keys, wherever they stand, out of JSON that came from
// outside: only the firewall says what it decided. It returns raw itself if there are
// none, which costs a message without them next to nothing.
func dropOwn(raw []byte) []byte {
	if !mayHold(raw, "mcpfirewall", "") {
		return raw
	}
	return replaceMembers(raw, isOwn, func([]byte) []byte { return nil })
}

// replaceMembers returns raw with other values in the members, wherever they stand, whose
// quoted names is says; those whose new value is nil are taken out. It returns raw itself
// if there are none.
func replaceMembers(raw []byte, is func(quoted []byte) bool, by func(value []byte) []byte) []byte {
	var out []byte
	at := 0 // from here on nothing is copied yet
	for i := 0; ; {
		quote := bytes.IndexByte(raw[i:], '"')
		if quote < 0 {
			break
		}
		i += quote
		end := stringEnd(raw, i)
		if colon := afterSpace(raw, end); colon < len(raw) && raw[colon] == ':' && is(raw[i:end]) {
			value := afterSpace(raw, colon+1)
			end = valueEnd(raw, value)
			if v := by(raw[value:end:end]); v != nil {
				out = append(append(out, raw[at:value]...), v...)
				at, i = end, end
				continue
			}
			out = append(out, raw[at:i]...)
			end = afterSpace(raw, end)
			if end < len(raw) && raw[end] == ',' {
				end++
			} else {
				out = bytes.TrimSuffix(bytes.TrimRight(out, " \t\r\n"), []byte(","))
			}
			at = end
		}
		i = end
	}
	if out == nil {
		return raw
	}
	return append(out, raw[at:]...)
}

// mayHold is a quick look at whether JSON can hold a name that has a slash with these letters
// before and after it, in any case, the slash escaped or not, or letters hidden in escapes. There
// must be no other character that folds to one of the letters: k and s have such.
func mayHold(raw []byte, before, after string) bool {
	for i := 0; ; i++ {
		slash := bytes.IndexByte(raw[i:], '/')
		if slash < 0 {
			break
		}
		i += slash
		end := i
		if end > 0 && raw[end-1] == '\\' {
			end--
		}
		start, stop := end-len(before), i+1+len(after)
		if start >= 0 && stop <= len(raw) && raw[end-1]|0x20 == before[len(before)-1] &&
			strings.EqualFold(string(raw[start:end]), before) && strings.EqualFold(string(raw[i+1:stop]), after) {
			return true
		}
	}
	for i := 0; ; { // not bytes.Contains, which takes long where there are many other escapes
		backslash := bytes.IndexByte(raw[i:], '\\')
		if backslash < 0 {
			return false
		}
		i += backslash
		if bytes.HasPrefix(raw[i:], []byte(`\u00`)) {
			return true
		}
		i++
	}
}

// isOwn reports whether a quoted name is one of the firewall's own.
func isOwn(quoted []byte) bool {
	if len(quoted) < len(metaOwnPrefix)+2 {
		return false
	}
	return strings.HasPrefix(jsonrpc.Fold(jsonrpc.String(quoted)), metaOwnPrefix)
}

// stringEnd returns the offset after the JSON string that starts at raw[i].
func stringEnd(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		quote := bytes.IndexByte(raw[i:], '"')
		if quote < 0 {
			break
		}
		slashes := 0
		for i += quote; raw[i-1-slashes] == '\\'; slashes++ {
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return len(raw)
}

// valueEnd returns the offset after the JSON value that starts at raw[i].
func valueEnd(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			if i = stringEnd(raw, i); depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i // of a number or literal
			}
			if depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

func afterSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\r' || raw[i] == '\n') {
		i++
	}
	return i
}
