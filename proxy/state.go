package proxy

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// stateTTL bounds how long a client may take to answer an input_required result.
const stateTTL = 10 * time.Minute

// chain is what is known of a call that takes several round trips (2026-07-28,
// basic/patterns/mrtr). It travels sealed in requestState.
type chain struct {
	Approved bool     `json:"a,omitzero"` // a person approved the call
	Asked    []string `json:"q,omitzero"` // keys of the input requests that are outstanding
	Approval bool     `json:"p,omitzero"` // one of them is the firewall's own, for approval
	HasState bool     `json:"h,omitzero"`
	State    string   `json:"s,omitzero"` // the server's own requestState
	Parked   string   `json:"k,omitzero"` // names a call that waits at a legacy server
	Counted  bool     `json:"c,omitzero"` // the session's calls count it already
	Limit    string   `json:"l,omitzero"` // names what limits reserved for it
	Held     string   `json:"w,omitzero"` // names a result that waits for a person

	Responses jsontext.Value `json:"r,omitzero"` // inputResponses for the server

	parked *parked
}

// counted reports whether the session's calls count the chain already.
func (c *chain) counted() bool { return c != nil && c.Counted }

// approvalKey is the key of the firewall's own question.
const approvalKey = "mcpfirewall/approval"

// binding ties a state to the principal, session, server, capability, definition and
// parameters that it was made for.
func (k *call) binding() string {
	s := k.x.s
	session := s.id
	if s.single {
		session = ""
	}
	h := sha256.New()
	for _, member := range []string{"name", "uri", "arguments", "task"} {
		v := k.x.m.At(k.x.param(member))
		fmt.Fprintf(h, "%s %d ", member, len(v))
		h.Write(v)
	}
	if table[k.x.m.Method] == nil { // nobody knows which of its params make it what it is
		h.Write(k.shown)
	}
	return strings.Join([]string{s.peer.Principal, session, k.x.m.Method, k.c.conn.name, k.c.name, string(k.c.digest[:]), string(h.Sum(nil))}, "\x00")
}

// seal makes the requestState that a client is to send back.
func (k *call) seal(c *chain) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("sealing a request state: %w", err)
	}
	return k.x.s.relay.box.Seal("state", k.binding(), payload, stateTTL), nil
}

// open opens the requestState of a retry and sorts its answers. A state is good once,
// for the same call; answers that nobody asked for are refused.
func (k *call) open() answer {
	x := k.x
	state, ok := x.text("requestState")
	responses := x.param("inputResponses")
	if !x.param("requestState").Present() {
		if responses.Present() {
			return k.reject(jsonrpc.CodeInvalidParams, stateRule, "inputResponses without the requestState that came with the questions")
		}
		return answer{}
	}
	if !ok || !x.modern {
		return k.reject(jsonrpc.CodeInvalidParams, stateRule, "requestState is not a string, or the protocol version has none")
	}
	unusable := func(err error) answer {
		return k.reject(jsonrpc.CodeInvalidParams, stateRule, "requestState was refused: "+err.Error()+"; make the call again without it")
	}
	box, binding := x.s.relay.box, k.binding()
	payload, err := box.Open("state", binding, state)
	if err != nil {
		return unusable(err)
	}
	c := &chain{}
	if err := json.Unmarshal(payload, c); err != nil {
		return x.failErr(fmt.Errorf("reading a request state: %w", err))
	}
	asked := map[string]bool{}
	for _, key := range c.Asked {
		asked[key] = true
	}
	for name, value := range jsonrpc.Members(x.m.Raw, responses) {
		key := jsonrpc.String(x.m.At(name))
		switch {
		case c.Approval && key == approvalKey:
			c.Approved = accepted(x.m.At(value))
		case asked[key]:
			c.Responses = jsonrpc.SetMember(c.Responses, key, x.m.At(value))
		default:
			return k.reject(jsonrpc.CodeInvalidParams, stateRule, "inputResponses holds an answer to a question that is not outstanding")
		}
	}
	// Only now, so that a slip in the answers does not cost the call that waits for them.
	if _, err := box.OpenOnce("state", binding, state); err != nil {
		return unusable(err)
	}
	k.chain = c
	if c.Parked != "" {
		if a := k.unpark(); a.raw != nil {
			return a
		}
	}
	if c.Approval && !c.Approved && c.Held != "" {
		return k.unreleased(c.Held)
	}
	if c.Approval && !c.Approved {
		return k.declined("inputResponses")
	}
	c.Approval = false
	if c.Held != "" {
		return k.release(c.Held)
	}
	return answer{}
}

// accepted reports whether an elicitation's answer says yes.
func accepted(result []byte) bool {
	action, _ := jsonrpc.GetString(result, "action")
	return action == "accept"
}

// inputRequiredResult returns the result that puts requests to a modern client.
func (x *Exchange) inputRequiredResult(requests []byte, state string) answer {
	b := append([]byte(`{"resultType":"input_required","inputRequests":`), requests...)
	b = jsonrpc.AppendQuote(append(b, `,"requestState":`...), state)
	return x.result(append(b, '}'))
}
