package proxy

import (
	"strconv"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// This file finds the server that a URI is for.

// resource finds the capability behind a URI: a listed resource, else the template that
// it fits, else the only server there is.
func (f *fleet) resource(v *view, uri string) *capability {
	if c := v.resources[uri]; c != nil {
		return c
	}
	var found *conn
	var also []*rules.Entry
	for _, c := range v.all {
		if c.kind == rules.Resource && strings.EqualFold(c.name, uri) {
			return nil // it exists, and is hidden or collides
		}
		if c.kind == rules.Template && c.reason == "" && fits(c.name, uri) {
			if found != nil && found != c.conn || c.entry.Hidden() {
				return nil
			}
			found = c.conn
			also = append(also, c.entry)
		}
	}
	if conns := f.all(); found == nil && len(conns) == 1 {
		found = conns[0]
	}
	if found == nil || devious(uri) {
		return nil
	}
	c := &capability{kind: rules.Resource, conn: found, name: uri, called: uri, exposed: uri, also: also,
		entry: v.gen.policy.Bind(rules.Capability{Kind: rules.Resource, Server: found.name, Name: uri})}
	if !c.visible() {
		return nil
	}
	return c
}

// devious reports whether a URI that no server listed could mean another place than its
// text shows: patterns judge the text, servers resolve it. Only the plainest spelling of a
// place passes (RFC 3986 §6).
func devious(uri string) bool {
	path, _, _ := strings.Cut(uri, "#")
	path, _, _ = strings.Cut(path, "?")
	low := strings.ToLower(path)
	if strings.HasPrefix(low, "file:") && (!strings.HasPrefix(low, "file:///") || strings.HasPrefix(low, "file:////")) {
		return true
	}
	for at := 0; ; at += 2 { // an empty segment; but a URI may hold another
		i := strings.Index(low[at:], "//")
		if i < 0 {
			break
		}
		if at += i; at > 0 && low[at-1] != ':' && !strings.HasPrefix(low, "file:///") {
			return true
		}
		if strings.HasPrefix(low, "file:///") && at > len("file:") {
			return true
		}
	}
	if strings.ContainsRune(path, '\\') || strings.Contains(low, "/./") || strings.Contains(low, "/../") || strings.HasSuffix(low, "/..") || strings.HasSuffix(low, "/.") {
		return true
	}
	for i := strings.IndexByte(path, '%'); i >= 0; {
		if i+3 > len(path) {
			return true
		}
		c, err := strconv.ParseUint(path[i+1:i+3], 16, 8)
		if err != nil || c < ' ' || strings.IndexByte("%/\\-._~", byte(c)) >= 0 || 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' {
			return true
		}
		next := strings.IndexByte(path[i+1:], '%')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return strings.ContainsFunc(uri, func(r rune) bool { return r == ' ' || visible.Hidden(r) })
}

// fits reports whether uri can be an expansion of the template (RFC 6570): the literal
// parts match in order. Variables match anything, since the server decides what they are.
func fits(template, uri string) bool {
	first := true
	for {
		open := strings.IndexByte(template, '{')
		if open < 0 {
			if first {
				return template == uri
			}
			return strings.HasSuffix(uri, template)
		}
		literal := template[:open]
		if first {
			if !strings.HasPrefix(uri, literal) {
				return false
			}
			uri = uri[len(literal):]
		} else {
			at := strings.Index(uri, literal)
			if at < 0 {
				return false
			}
			uri = uri[at+len(literal):]
		}
		first = false
		end := strings.IndexByte(template[open:], '}')
		if end < 0 {
			return false
		}
		template = template[open+end+1:]
	}
}
