package proxy

import (
	"errors"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// This file words the answers to calls that are not made, or whose result is withheld.

// withhold refuses what the firewall itself could not do.
func (k *call) withhold(err error) answer {
	k.x.s.relay.log.Error().Err(err).Str("tool", visible.Name(k.target)).Msg("call or result withheld")
	return k.failure(err.Error(), nil)
}

// unanswered is the client's answer when the server gave none.
func (k *call) unanswered(err error) answer {
	return k.failure(k.x.s.relay.redact.Text(told(err)), nil)
}

// unavailable is the client's answer when the server is down.
func (k *call) unavailable(err error) answer {
	rec := k.newRecord("refusal")
	rec.Error = k.x.s.relay.redact.Text(err.Error())
	if werr := k.x.s.relay.audit.Write(&rec); werr != nil {
		return k.withhold(werr)
	}
	return k.failure(k.x.s.relay.redact.Text(told(err)), nil)
}

// refuse records a decision against the call and tells the client.
func (k *call) refuse(action rules.Action, rule, message string) answer {
	rec := k.newRecord("refusal")
	rec.Action, rec.Rule, rec.Reason, rec.Arguments, rec.BytesIn = action.String(), rule, k.x.s.relay.redact.Text(message), k.shown, len(k.x.m.Raw)
	if err := k.records(&rec); err != nil {
		return k.withhold(err)
	}
	return k.failure(message, decision(action, rule, k.record))
}

// redactRule names what section redact of the configuration says of arguments.
const redactRule = "redact"

// invalid refuses arguments.
func (k *call) invalid(err error) answer {
	rule := "schema"
	if refused := (*refusedArgument)(nil); errors.As(err, &refused) {
		rule = redactRule
	}
	if k.c.kind != rules.Tool {
		return k.reject(jsonrpc.CodeInvalidParams, rule, err.Error())
	}
	return k.refuse(rules.Deny, rule, err.Error())
}

// newRecord is the record of a message of the client's that is no call.
func (s *Session) newRecord(event string, m *jsonrpc.Message) audit.Record {
	return audit.Record{ID: s.relay.audit.NewID(), Event: event, Session: s.id, Principal: s.peer.Principal, Client: s.clientName(),
		Method: visible.Name(s.relay.redact.Text(m.Method)), BytesIn: len(m.Raw)}
}

// refuses writes the record of a refusal.
func (r *Relay) refuses(rec *audit.Record, rule, reason string) error {
	rec.Action, rec.Rule, rec.Reason = rules.Deny.String(), rule, r.redact.Text(reason)
	return r.records(rec)
}

// drops records that a notification or an answer of the client's is not passed on.
func (s *Session) drops(m *jsonrpc.Message, rule, reason string) {
	s.relay.log.Warn().Str("session", s.id).Str("reason", reason).Msg(m.Kind.String() + " of the client dropped")
	rec := s.newRecord("refusal", m)
	if err := s.relay.refuses(&rec, rule, reason); err != nil {
		s.relay.log.Error().Err(err).Msg("audit record not written")
	}
}

// Rules that name what the firewall itself refuses.
const (
	methodRule = "method" // the method is not one that may pass
	paramsRule = "params" // the params are not what the specification says
	stateRule  = "state"  // a cursor, requestState or answer is not one that is outstanding
)

// refuse refuses a request with an error, and records that.
func (x *Exchange) refuse(code int, rule, message string) answer {
	return x.turnedAway(x.s.newRecord("refusal", x.m), code, rule, message, "")
}

// reject is refuse for a call.
func (k *call) reject(code int, rule, message string) answer {
	rec := k.newRecord("refusal")
	rec.Arguments, rec.BytesIn = k.shown, len(k.x.m.Raw)
	return k.x.turnedAway(rec, code, rule, message, "")
}

// turnedAway writes the record and words the error; more are further members of its data.
func (x *Exchange) turnedAway(rec audit.Record, code int, rule, message, more string) answer {
	if err := x.s.relay.refuses(&rec, rule, message); err != nil {
		x.s.relay.log.Error().Err(err).Msg("audit record not written")
		return x.fail(jsonrpc.CodeInternal, "the request was refused, and the record of that could not be written. See the firewall's log", nil)
	}
	data := append([]byte(`{"`+metaDecision+`":`), decision(rules.Deny, rule, rec.ID)...)
	return x.fail(code, message, append(append(data, more...), '}'))
}

// turnAway answers for a capability that the session cannot see.
func (k *call) turnAway(code int, message string) answer {
	if _, anybody := k.owner(); anybody {
		if late := k.x.s.fleet.starting(); late != "" {
			message += " (server " + late + " is still starting: try again in a moment)"
		} else if reason := k.x.s.fleet.down(); reason != "" {
			message += " (" + reason + ")"
		}
	}
	return k.x.turnedAway(k.newRecord("refusal"), code, "unknown", message, k.x.uriMember())
}

// uriMember names the resource that a request is about, for the data of an error.
func (x *Exchange) uriMember() string {
	if uri := x.m.At(x.param("uri")); len(uri) > 0 {
		return `,"uri":` + string(uri)
	}
	return ""
}

func decision(action rules.Action, rule, record string) []byte {
	b := jsonrpc.AppendQuote([]byte(`{"action":`), action.String())
	b = jsonrpc.AppendQuote(append(b, `,"rule":`...), rule)
	return append(jsonrpc.AppendQuote(append(b, `,"record":`...), record), '}')
}

// failure tells the client that there is no result: for a tool a result that the agent
// can read and act on, else an error. decided is the decision object, or nil.
func (k *call) failure(message string, decided []byte) answer {
	x := k.x
	if x.m.Method != "tools/call" {
		var data []byte
		if decided != nil {
			data = append(append([]byte(`{"`+metaDecision+`":`), decided...), '}')
		}
		return x.fail(jsonrpc.CodeInternal, message, data)
	}
	b := jsonrpc.AppendQuote([]byte(`{"content":[{"type":"text","text":`), message)
	b = append(b, `}],"isError":true`...)
	if x.modern {
		b = append(b, `,"resultType":"complete"`...)
	}
	if decided != nil {
		b = append(append(append(b, `,"_meta":{"`+metaDecision+`":`...), decided...), '}')
	}
	return x.result(append(b, '}'))
}
