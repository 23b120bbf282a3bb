package proxy

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// vetElicitation lets a server ask for harmless things and open harmless places, under
// its own name, in words that can look like nothing but its own.
func (c *conn) vetElicitation(params []byte) ([]byte, error) {
	whole := jsonrpc.Span{End: len(params)}
	message, _ := jsonrpc.GetString(params, "message")
	form := &form{raw: params}
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
	} else if err := form.vet(jsonrpc.Find(params, whole, "requestedSchema"), ""); err != nil {
		return nil, err
	}
	asks := jsonrpc.Quote("Server " + c.name + " asks: " + folded(message))
	return jsonrpc.Splice(params, append(form.edits, jsonrpc.Set(params, whole, "message", asks))...), nil
}

var (
	errCredential = errors.New("the server asked the user for a credential in a form, which the specification forbids")
	errDeceptive  = errors.New("the server asked in a form whose names or values hold control characters or such as do not show, so that they could look like others")
)

// formNames are those that the specification gives a form's schema and its parts
// (2025-11-25 and 2026-07-28, PrimitiveSchemaDefinition).
var formNames = jsonrpc.NewNames("$schema", "type", "properties", "required", "title", "description", "default", "format",
	"minLength", "maxLength", "pattern", "minimum", "maximum", "enum", "enumNames", "oneOf", "anyOf", "allOf", "const", "items", "minItems", "maxItems")

// form is a form's schema on its way to a user, within params.
type form struct {
	raw   []byte
	edits []jsonrpc.Edit // that make its texts look like what they are
}

// vet walks over the schema, or the part of it that stands at s under member. A field's
// name, title and the titles of its choices say what is asked for; other texts may mention
// a credential, as long as they do not ask for it. What is only shown is made visible; what
// the server gets back stays as it is, and must not deceive.
func (f *form) vet(s jsonrpc.Span, member string) error {
	if !s.Present() {
		return nil
	}
	switch f.raw[s.Start] {
	case '{':
		fields, known := member == "properties", formNames
		if fields {
			known = anyNames
		}
		if known.Clash(f.raw, s) != "" {
			return errNames
		}
		for name, value := range jsonrpc.Members(f.raw, s) {
			inner := jsonrpc.String(f.raw[name.Start:name.End])
			if fields && (namesCredential(inner) || fieldCredential().MatchString(spaced(legible(inner)))) {
				return errCredential
			}
			if strings.ContainsFunc(inner, deceptive) {
				return errDeceptive
			}
			if fields {
				inner = "" // a field may be called as it likes: what it holds is a schema
			}
			if err := f.vet(value, inner); err != nil {
				return err
			}
		}
	case '[':
		for el := range jsonrpc.Elements(f.raw, s) {
			if err := f.vet(el, member); err != nil {
				return err
			}
		}
	case '"':
		return f.vetText(s, member)
	}
	return nil
}

func (f *form) vetText(s jsonrpc.Span, member string) error {
	text := jsonrpc.String(f.raw[s.Start:s.End])
	shown := text
	switch member {
	case "title", "enumNames", "format":
		if namesCredential(text) {
			return errCredential
		}
		shown = folded(text)
	case "enum", "const", "default", "required":
		if wantsCredential(text, false) {
			return errCredential
		}
		if strings.ContainsFunc(text, deceptive) {
			return errDeceptive
		}
	default:
		if wantsCredential(text, member == "description") {
			return errCredential
		}
		shown = folded(text)
	}
	if shown != text {
		f.edits = append(f.edits, jsonrpc.Edit{Span: s, New: jsonrpc.Quote(shown)})
	}
	return nil
}

var lineBreaks = onuse.Regexp(`[\s\x{85}\x{2028}\x{2029}]*[\n\v\f\r\x{85}\x{2028}\x{2029}][\s\x{85}\x{2028}\x{2029}]*|\t`)

// folded returns a text in one line, with all that does not show made visible: a second
// line could look like another question, or like the firewall's.
func folded(text string) string {
	text = strings.Map(func(r rune) rune {
		if variation(r) {
			return -1
		}
		return r
	}, text)
	return visible.Text(lineBreaks().ReplaceAllString(text, " "))
}

// variation reports whether a character only chooses between a symbol's looks.
func variation(r rune) bool { return r == 0xfe0e || r == 0xfe0f }

// deceptive reports whether a character does not show, or changes how others show.
func deceptive(r rune) bool { return visible.Hidden(r) && !variation(r) }
