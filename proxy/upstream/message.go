package upstream

import (
	"bytes"
	"errors"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// sink turns what a server sent into events.
type sink struct {
	events Events
	limits jsonrpc.Limits
}

func newSink(o *Options) sink {
	return sink{o.Events, jsonrpc.Limits{MaxBytes: o.MaxMessage, Repair: true}}
}

// message parses raw, which is given away, and reports it. It returns nil if raw is no
// message.
func (s *sink) message(raw []byte, origin int64) *jsonrpc.Message {
	m, err := jsonrpc.Parse(oneLine(raw), s.limits)
	if err != nil {
		e := parseError(err)
		if e.ID == nil {
			e.ID = jsonrpc.RecoverID(head(raw), tail(raw))
		}
		s.events.Malformed(e, origin)
		return nil
	}
	s.events.Message(m, origin)
	return m
}

// oneLine puts spaces in the place of line ends: those of valid JSON stand between
// tokens, and a message is one line from here on.
func oneLine(raw []byte) []byte {
	for _, end := range []byte("\r\n") {
		for at := 0; ; at++ {
			i := bytes.IndexByte(raw[at:], end)
			if i < 0 {
				break
			}
			at += i
			raw[at] = ' '
		}
	}
	return raw
}

// tooLong reports a message above the limit.
func (s *sink) tooLong(e *tooLong, origin int64) {
	s.events.Malformed(&jsonrpc.ParseError{
		Code: jsonrpc.CodeInvalidRequest, ID: jsonrpc.RecoverID(e.head, e.tail), Reason: e.Error(),
	}, origin)
}

// parseError returns err as the type that jsonrpc.Parse promises.
func parseError(err error) *jsonrpc.ParseError {
	var e *jsonrpc.ParseError
	if !errors.As(err, &e) {
		return &jsonrpc.ParseError{Code: jsonrpc.CodeParse, Reason: err.Error()}
	}
	return e
}

// looksLikeMessage reports whether a line is meant as JSON-RPC: an object, or a batch,
// for which the sender deserves to hear that it is refused. Everything else that servers
// print, "[INFO] ready" for one, is not for the protocol.
func looksLikeMessage(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	if len(line) > 0 && line[0] == '[' {
		line = bytes.TrimLeft(line[1:], " \t")
	}
	return len(line) > 0 && line[0] == '{'
}
