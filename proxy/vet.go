package proxy

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

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
	if len(params) > 0 {
		if meta := jsonrpc.Get(params, "_meta"); len(meta) > 0 {
			params = jsonrpc.SetMember(params, "_meta", dropOwn(meta))
		}
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
		return c.vetElicitation(params)
	default:
		return nil, errors.New("the firewall knows no such request")
	}
	return params, nil
}

// credential matches what a form must not ask for (2025-11-25, client/elicitation:
// "Servers MUST NOT use form mode elicitation to request sensitive information").
var credential = regexp.MustCompile(`(?i)pass(word|wd|phrase|code)|\bpwd\b|secret|api[ _-]?key|access[ _-]?key|private[ _-]?key|(access|auth|bearer|refresh|api|session)[ _-]?token|^token$|credential|\b(otp|totp|2fa|mfa|pin|cvv|cvc)\b|one[ _-]?time[ _-]?(code|password)|verification[ _-]?code|credit[ _-]?card|card[ _-]?number|social[ _-]?security|\bssn\b|seed[ _-]?phrase|recovery[ _-]?(code|phrase|key)`)

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
	} else if asksCredential(message, jsonrpc.Get(params, "requestedSchema", "properties")) {
		return nil, errors.New("the server asked the user for a credential in a form, which the specification forbids")
	}
	return jsonrpc.SetMember(params, "message", jsonrpc.Quote("Server "+c.name+" asks: "+message)), nil
}

func asksCredential(message string, properties []byte) bool {
	if credential.MatchString(message) {
		return true
	}
	for name, value := range jsonrpc.Members(properties, jsonrpc.Span{End: len(properties)}) {
		texts := []string{jsonrpc.String(properties[name.Start:name.End])}
		for _, member := range []string{"title", "description"} {
			t, _ := jsonrpc.GetString(properties[value.Start:value.End], member)
			texts = append(texts, t)
		}
		for _, t := range texts {
			if credential.MatchString(t) {
				return true
			}
		}
	}
	return false
}
