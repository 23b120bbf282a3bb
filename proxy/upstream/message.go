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
			e.ID = recoverID(head(raw), tail(raw))
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
		Code: jsonrpc.CodeInvalidRequest, ID: recoverID(e.head, e.tail), Reason: e.Error(),
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

// recoverID finds the id of a message of which only the edges are there or which is not
// valid JSON, as well as it can: a member "id" of the outermost object, near its start
// or near its end. It returns nil if there is none to be seen.
func recoverID(head, tail []byte) []byte {
	depth := 0
	for i := 0; i < len(head); {
		switch c := head[i]; c {
		case '"':
			end := skipQuoted(head, i)
			if depth == 1 && string(head[i:end]) == `"id"` {
				if id, _ := idValue(head, end); id != nil {
					return id
				}
			}
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
	}
	// From the end, a name stands in the outermost object if what follows its value
	// closes exactly one level, with the last byte.
	tail = bytes.TrimRight(tail, " \t\r\n")
	for at := len(tail); ; {
		if at = bytes.LastIndex(tail[:at], []byte(`"id"`)); at < 0 {
			return nil
		}
		if id, end := idValue(tail, at+len(`"id"`)); id != nil && closesOne(tail[end:]) {
			return id
		}
	}
}

// idValue returns the raw string or number that follows the colon at b[i:], and where it
// ends.
func idValue(b []byte, i int) (id []byte, end int) {
	i = skipBlank(b, i)
	if i >= len(b) || b[i] != ':' {
		return nil, i
	}
	i = skipBlank(b, i+1)
	if i >= len(b) {
		return nil, i
	}
	end = i
	if b[i] == '"' {
		end = skipQuoted(b, i)
	} else {
		for end < len(b) && (b[end] == '-' || '0' <= b[end] && b[end] <= '9') {
			end++
		}
	}
	// A value that reaches the edge may be cut. The firewall's own ids are short integers.
	next := skipBlank(b, end)
	if end == i || end-i > 256 || next >= len(b) || b[next] != ',' && b[next] != '}' {
		return nil, end
	}
	if jsonrpc.CheckValue(bytes.Clone(b[i:end]), jsonrpc.Limits{}) != nil {
		return nil, end
	}
	return bytes.Clone(b[i:end]), end
}

// closesOne reports whether the last byte of b closes one level more than b opens, and
// no byte before it does.
func closesOne(b []byte) bool {
	depth := 0
	for i := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipQuoted(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i == len(b)-1 && b[i] == '}'
			}
		}
		i++
	}
	return false
}

func skipBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// skipQuoted returns the offset after the string that starts at b[i], or the end.
func skipQuoted(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}
