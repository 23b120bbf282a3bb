package proxy

import (
	"errors"

	"github.com/mcpfirewall/mcpfirewall/internal/oauth"
	"github.com/mcpfirewall/mcpfirewall/proxy/upstream"
)

// outage is why a server could not be used, in two texts. That of Error is for the log, the
// record and `mcpfirewall tools`: it may quote what the server or Vault said, such as last
// words that give the agent orders, or the names of secrets. A client gets the other, which
// is the firewall's own.
type outage struct {
	told string
	err  error
}

func (o *outage) Error() string { return o.err.Error() }
func (o *outage) Unwrap() error { return o.err }

// because gives an error a text for clients, if it has none yet.
func because(told string, err error) error {
	var o *outage
	if errors.As(err, &o) || upstream.Brief(err) != "" {
		return err
	}
	return &outage{told, err}
}

// told returns what a client is told of an error.
func told(err error) string {
	var o *outage
	if errors.As(err, &o) {
		return o.told
	}
	if errors.Is(err, oauth.ErrScope) {
		return oauth.ErrScope.Error()
	}
	if brief := upstream.Brief(err); brief != "" {
		return brief
	}
	return err.Error()
}
