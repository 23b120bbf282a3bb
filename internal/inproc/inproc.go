// Package inproc connects a client in this process to the relay, without a pipe in
// between. What such a client sends enters the relay at the same place as the messages
// of every other one.
//
// A [Transport] carries a client of mcp-go, which does the handshake and answers what
// servers ask; [Transport.Call] makes a request whose answer comes back as the bytes
// that a client would read:
//
//	t := inproc.New(relay.Open(proxy.Peer{Transport: "stdio", Principal: proxy.LocalPrincipal()}))
//	c := client.NewClient(t, client.WithElicitationHandler(h))
//	...
//	result, failure, err := t.Call(ctx, "tools/call", params)
package inproc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
)

// Transport is one client's connection to the relay.
type Transport struct {
	s      *proxy.Session
	ctx    context.Context // ends at Close
	stop   context.CancelFunc
	lastID atomic.Int64
	asked  sync.WaitGroup // requests of servers that are being answered

	mu      sync.Mutex
	notice  func(mcp.JSONRPCNotification)
	request transport.RequestHandler
	asking  map[string]context.CancelFunc // by id of the request that is being answered
}

var _ transport.BidirectionalInterface = (*Transport)(nil)

// New returns a connection over the session, which Close ends.
func New(s *proxy.Session) *Transport {
	t := &Transport{s: s, asking: map[string]context.CancelFunc{}}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// Start implements [transport.Interface].
func (t *Transport) Start(context.Context) error {
	t.s.Attach(general{t})
	return nil
}

// Close ends the session. It returns when nothing of it runs any more.
func (t *Transport) Close() error {
	t.s.Attach(nil)
	t.stop()
	t.s.Close()
	t.asked.Wait()
	return nil
}

// GetSessionId implements [transport.Interface].
func (t *Transport) GetSessionId() string { return t.s.ID() }

// SetNotificationHandler implements [transport.Interface].
func (t *Transport) SetNotificationHandler(h func(mcp.JSONRPCNotification)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notice = h
}

// SetRequestHandler implements [transport.BidirectionalInterface].
func (t *Transport) SetRequestHandler(h transport.RequestHandler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.request = h
}

// Call makes a request with raw params, or none if nil, and returns the raw result or
// the raw error object of the answer. The error says why there is no answer at all.
func (t *Transport) Call(ctx context.Context, method string, params []byte) (result, failure []byte, err error) {
	id := jsonrpc.Quote("call-" + strconv.FormatInt(t.lastID.Add(1), 10)) // mcp-go counts in numbers
	answer, err := t.send(ctx, jsonrpc.NewRequest(id, method, params))
	if err != nil {
		return nil, nil, err
	}
	if answer.Kind == jsonrpc.Failure {
		return nil, answer.At(answer.Error), nil
	}
	return answer.At(answer.Result), nil, nil
}

// SendRequest implements [transport.Interface].
func (t *Transport) SendRequest(ctx context.Context, request transport.JSONRPCRequest) (*transport.JSONRPCResponse, error) {
	raw, err := jsonv1.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("writing a request: %w", err)
	}
	answer, err := t.send(ctx, raw)
	if err != nil {
		return nil, err
	}
	var response transport.JSONRPCResponse
	if err := json.Unmarshal(answer.Raw, &response, jsonv1.DefaultOptionsV1()); err != nil {
		return nil, fmt.Errorf("reading an answer: %w", err)
	}
	return &response, nil
}

// SendNotification implements [transport.Interface].
func (t *Transport) SendNotification(_ context.Context, notification mcp.JSONRPCNotification) error {
	raw, err := jsonv1.Marshal(notification)
	if err != nil {
		return fmt.Errorf("writing a notification: %w", err)
	}
	m, err := jsonrpc.Parse(raw, jsonrpc.Limits{})
	if err != nil {
		return fmt.Errorf("writing a notification: %w", err)
	}
	t.s.Begin(t.ctx, m, general{t})
	return nil
}

// send passes a request through the relay and returns the answer.
func (t *Transport) send(ctx context.Context, raw []byte) (*jsonrpc.Message, error) {
	m, err := jsonrpc.Parse(raw, jsonrpc.Limits{})
	if err != nil {
		return nil, fmt.Errorf("the request is refused: %w", err)
	}
	on := &answers{general: general{t}}
	x := t.s.Begin(ctx, m, on)
	if x == nil {
		return nil, errors.New("the request could not be checked and was not passed on: the firewall's log says why")
	}
	x.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("waiting for the answer: %w", context.Cause(ctx))
	}
	if on.final == nil {
		return nil, errors.New("no answer came")
	}
	answer, err := jsonrpc.Parse(on.final, jsonrpc.Limits{Repair: true})
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return answer, nil
}

// answers is the stream of one request.
type answers struct {
	general
	final []byte // written before Run returns
}

func (a *answers) Send(messages ...proxy.Outgoing) error {
	for _, m := range messages {
		if m.Final {
			a.final = append([]byte(nil), m.Raw...)
		} else if err := a.general.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// general is the stream for all that is no answer.
type general struct{ t *Transport }

func (g general) Send(messages ...proxy.Outgoing) error {
	for _, m := range messages {
		if err := g.one(m); err != nil {
			return err
		}
	}
	return nil
}

func (g general) one(out proxy.Outgoing) error {
	t := g.t
	m, err := jsonrpc.Parse(append([]byte(nil), out.Raw...), jsonrpc.Limits{})
	if err != nil {
		return fmt.Errorf("reading a message: %w", err)
	}
	t.mu.Lock()
	notice, request := t.notice, t.request
	t.mu.Unlock()
	switch {
	case m.Method == "notifications/cancelled":
		t.mu.Lock()
		cancel := t.asking[jsonrpc.Key(jsonrpc.Get(m.At(m.Params), "requestId"))]
		t.mu.Unlock()
		if cancel != nil {
			cancel()
		}
	case m.Kind == jsonrpc.Notification:
		var n mcp.JSONRPCNotification
		if err := json.Unmarshal(m.Raw, &n, jsonv1.DefaultOptionsV1()); err != nil {
			return fmt.Errorf("reading a notification: %w", err)
		}
		if notice != nil {
			notice(n)
		}
	case m.Kind == jsonrpc.Request:
		ctx, cancel := context.WithCancel(t.ctx)
		t.mu.Lock()
		t.asking[m.IDKey()] = cancel
		t.mu.Unlock()
		t.asked.Go(func() { // the relay must not wait for a person
			t.answer(ctx, m, request)
			t.mu.Lock()
			delete(t.asking, m.IDKey())
			t.mu.Unlock()
			cancel()
		})
	}
	return nil
}

// answer has a request of a server answered.
func (t *Transport) answer(ctx context.Context, m *jsonrpc.Message, handle transport.RequestHandler) {
	var raw []byte
	var request transport.JSONRPCRequest
	response := (*transport.JSONRPCResponse)(nil)
	err := json.Unmarshal(m.Raw, &request, jsonv1.DefaultOptionsV1())
	if err == nil && handle == nil {
		err = errors.New("this client answers no requests")
	}
	if err == nil {
		response, err = handle(ctx, request)
	}
	if err == nil {
		raw, err = jsonv1.Marshal(response)
	}
	if err != nil {
		raw = jsonrpc.NewError(m.At(m.ID), jsonrpc.CodeInternal, err.Error(), nil)
	}
	if ctx.Err() != nil {
		return // nobody waits for the answer
	}
	reply, err := jsonrpc.Parse(raw, jsonrpc.Limits{})
	if err != nil {
		return // its request then ends at its time limit
	}
	t.s.Begin(t.ctx, reply, general{t})
}
