package proxy

import (
	"bytes"
	"errors"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// This file is about what a client tells a server that asked.

// reply gives the server the client's answer to its request: a result, or an error object.
func (q *serverRequest) reply(s *Session, result, failed []byte) {
	c := q.link.conn
	if failed != nil {
		q.answer(nil, s.relateBack(c, failed))
		return
	}
	if span := jsonrpc.Find(result, jsonrpc.Span{End: len(result)}, "task", "taskId"); span.Present() && !strings.HasPrefix(q.m.Method, "tasks/") {
		if !q.mayTask() || len(jsonrpc.Get(q.m.At(q.m.Params), "task")) == 0 {
			q.refuse(jsonrpc.CodeInternal, "the client made a task of the request, which nobody asked for")
			return
		}
		ours := c.fleet.noteAsked(c.name, jsonrpc.String(result[span.Start:span.End]))
		result = jsonrpc.Splice(result, jsonrpc.Edit{Span: span, New: jsonrpc.Quote(ours)})
	}
	result = s.relateBack(c, s.vetAnswer(c, result))
	if q.m.Method != "roots/list" { // the client's own folders are nobody's choice
		s.answers(result)
	}
	q.answer(result, nil)
}

// replies makes the inputResponses for a server of those that the client gave, and notes
// their values.
func (s *Session) replies(c *conn, responses []byte) []byte {
	var edits []jsonrpc.Edit
	for _, value := range jsonrpc.Members(responses, jsonrpc.Span{End: len(responses)}) {
		answer := responses[value.Start:value.End:value.End]
		if vetted := s.vetAnswer(c, answer); !bytes.Equal(vetted, answer) {
			edits = append(edits, jsonrpc.Edit{Span: value, New: vetted})
		}
	}
	if len(edits) > 0 {
		responses = jsonrpc.Splice(responses, edits...)
	}
	responses = s.relateBack(c, responses)
	s.answers(responses)
	return responses
}

// declining is the answer of a user who does not want to.
const declining = `{"action":"decline"}`

var errSecretAnswer = errors.New("the user's answer was not given to the server but declined: it holds, or may hold, a secret, which no server may ask for in a form")

// vetAnswer returns the client's answer as the server may have it: what a user filled in
// goes to no server if it holds a secret, however the question was worded.
func (s *Session) vetAnswer(c *conn, answer []byte) []byte {
	content := jsonrpc.Get(answer, "content")
	if action := jsonrpc.Get(answer, "action"); len(action) == 0 || len(content) == 0 {
		return answer
	}
	if secret, err := s.relay.redact.Secret(string(content)); err == nil && !secret {
		return answer
	}
	c.log.Warn().Str("reason", errSecretAnswer.Error()).Msg("answer to the server refused")
	c.recordQuestion(s, "elicitation/create", errSecretAnswer)
	return []byte(declining)
}
