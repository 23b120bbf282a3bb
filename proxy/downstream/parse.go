package downstream

import (
	"bytes"
	"errors"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// parseMessage parses a message of a client. A lone surrogate is an error in a request, and in an
// answer to a server it becomes U+FFFD, since somebody waits for the answer. The error of
// what is a request holds its id where that can be told, since then the client waits.
func parseMessage(raw []byte, limit int) (*jsonrpc.Message, *jsonrpc.ParseError) {
	m, err := jsonrpc.Parse(raw, jsonrpc.Limits{MaxBytes: limit})
	if err == nil {
		return m, nil
	}
	var e *jsonrpc.ParseError
	if !errors.As(err, &e) {
		e = &jsonrpc.ParseError{Code: jsonrpc.CodeParse, Reason: err.Error()}
	}
	if len(raw) > limit {
		return nil, e
	}
	if m, err = jsonrpc.Parse(bytes.Clone(raw), jsonrpc.Limits{MaxBytes: limit, Repair: true}); err == nil {
		if m.Kind == jsonrpc.Result || m.Kind == jsonrpc.Failure {
			return m, nil
		}
		e.ID = m.At(m.ID)
	} else if e.ID == nil {
		e.ID = jsonrpc.RecoverRequestID(raw)
	}
	return nil, e
}
