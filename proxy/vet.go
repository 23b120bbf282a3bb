package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
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
			return nil, nil, fmt.Errorf("the server asked for %s, which the client does not support", bounded(method))
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

// vetElicitation lets a server ask for harmless things and open harmless places, under
// its own name.
func (c *conn) vetElicitation(params []byte) ([]byte, error) {
	message, _ := jsonrpc.GetString(params, "message")
	if mode, ok := jsonrpc.GetString(params, "mode"); ok && mode == "url" {
		text, _ := jsonrpc.GetString(params, "url")
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return nil, errors.New("the server asked to open something that is no plain https URL")
		}
		if !slices.Contains(c.cfg.ElicitationHosts, strings.ToLower(u.Hostname())) {
			return nil, fmt.Errorf("the server asked to open a URL on a host that its configuration does not name: list the host under `elicitation_hosts` of server %s if it is right", c.name)
		}
	} else if ok && mode != "form" {
		return nil, errors.New("the mode of the elicitation is unknown")
	} else if namesCredential(message) {
		return nil, errCredential
	} else if err := vetForm(params, jsonrpc.Find(params, jsonrpc.Span{End: len(params)}, "requestedSchema"), ""); err != nil {
		return nil, err
	}
	return jsonrpc.SetMember(params, "message", jsonrpc.Quote("Server "+c.name+" asks: "+message)), nil
}

var errCredential = errors.New("the server asked the user for a credential in a form, which the specification forbids")

// formNames are those that the specification gives a form's schema and its parts
// (2025-11-25 and 2026-07-28, PrimitiveSchemaDefinition).
var formNames = jsonrpc.NewNames("$schema", "type", "properties", "required", "title", "description", "default", "format",
	"minLength", "maxLength", "pattern", "minimum", "maximum", "enum", "enumNames", "oneOf", "anyOf", "allOf", "const", "items", "minItems", "maxItems")

// vetForm walks over a form's schema, or the part of it that stands at s under member. A
// field's name, title and the titles of its choices say what is asked for; other texts
// may mention a credential, as long as they do not ask for it.
func vetForm(raw []byte, s jsonrpc.Span, member string) error {
	if !s.Present() {
		return nil
	}
	switch raw[s.Start] {
	case '{':
		fields, known := member == "properties", formNames
		if fields {
			known = anyNames
		}
		if known.Clash(raw, s) != "" {
			return errNames
		}
		for name, value := range jsonrpc.Members(raw, s) {
			inner := jsonrpc.String(raw[name.Start:name.End])
			if fields && namesCredential(inner) {
				return errCredential
			}
			if fields {
				inner = "" // a field may be called as it likes: what it holds is a schema
			}
			if err := vetForm(raw, value, inner); err != nil {
				return err
			}
		}
	case '[':
		for el := range jsonrpc.Elements(raw, s) {
			if err := vetForm(raw, el, member); err != nil {
				return err
			}
		}
	case '"':
		text := jsonrpc.String(raw[s.Start:s.End])
		switch member {
		case "title", "enumNames", "format":
			if namesCredential(text) {
				return errCredential
			}
		default:
			if wantsCredential(text, member == "description") {
				return errCredential
			}
		}
	}
	return nil
}

// credential matches what a form must not ask for (2025-11-25, client/elicitation:
// "Servers MUST NOT use form mode elicitation to request sensitive information").
var credential = regexp.MustCompile(`(?i)pass[ _-]?(word|wd|phrase|code)|\bpwd\b|secrets?\b|secret[ _-]?key|api[ _-]?key|access[ _-]?key|private[ _-]?key|(access|auth|bearer|refresh|api|session)[ _-]?token|^token$|credential|\b(otp|totp|2fa|mfa|pin|cvv|cvc)\b|one[ _-]?time[ _-]?(code|pass(word|code)?)|verification[ _-]?code|credit[ _-]?card|card[ _-]?number|social[ _-]?security|\bssn\b|seed[ _-]?phrase|recovery[ _-]?(code|phrase|key)`)

// hump matches where a word begins inside a camelCase name.
var hump = regexp.MustCompile(`([\p{Ll}0-9])(\p{Lu})|(\p{Lu})(\p{Lu}\p{Ll})`)

// namesCredential reports whether the text holds the name of a credential.
func namesCredential(text string) bool {
	text = legible(text)
	if credential.MatchString(text) {
		return true
	}
	return credential.MatchString(strings.ReplaceAll(hump.ReplaceAllString(text, "$1$3 $2$4"), "_", " "))
}

// legible returns the text as it looks: without characters that do not show, and without
// the marks and widths that letters can have.
func legible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case hidden(r) || unicode.In(r, unicode.Cf, unicode.Mn):
			return -1
		case 0xff01 <= r && r <= 0xff5e: // fullwidth forms of ASCII
			return r - 0xff01 + '!'
		}
		return r
	}, text)
}

var (
	sentence = regexp.MustCompile(`[.;:!?()\r\n]+`)
	request  = regexp.MustCompile(`(?i)^\W*(please\W+|now\W+|then\W+|first\W+)*(enter|type|provide|give|supply|insert|input|paste|put|write|fill|specify|submit|send|state|tell|confirm|repeat|share|your|what)\b`)
	negation = regexp.MustCompile(`(?i)\b(not|never|no|without)\b|n['’]t\b`)
)

// wantsCredential reports whether a text that may mention credentials asks for one: a
// sentence of it that begins like a request names one before it says "not". A label that
// is nothing but the credential's name counts where the text is one.
func wantsCredential(text string, label bool) bool {
	for _, part := range sentence.Split(legible(text), -1) {
		no := negation.FindStringIndex(part)
		if label && no == nil {
			if at := credential.FindStringIndex(strings.TrimSpace(part)); at != nil && at[0] == 0 {
				return true
			}
		}
		if no != nil {
			part = part[:no[0]]
		}
		if request.MatchString(part) && namesCredential(part) {
			return true
		}
	}
	return false
}

// dropOwn takes the firewall's own keys, wherever they stand, out of JSON that came from
// outside: only the firewall says what it decided. It returns raw itself if there are
// none, which costs a message without them next to nothing.
func dropOwn(raw []byte) []byte {
	if !mayHoldOwn(raw) {
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

// mayHoldOwn is a quick look at whether JSON can hold a name of the firewall's own: its
// prefix in any case, with the slash escaped or not, or letters hidden in escapes. (No
// other character folds to a letter of the prefix.)
func mayHoldOwn(raw []byte) bool {
	const name = len(metaOwnPrefix) - 1
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
		if end >= name && raw[end-1]|0x20 == metaOwnPrefix[name-1] && strings.EqualFold(string(raw[end-name:end]), metaOwnPrefix[:name]) {
			return true
		}
	}
	return bytes.Contains(raw, []byte(`\u00`))
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
