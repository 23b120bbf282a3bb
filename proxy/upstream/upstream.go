// Package upstream carries messages to and from one MCP server: over the standard
// streams of a child process, over Streamable HTTP of both eras, or over the old
// HTTP+SSE.
//
// It knows about framing, processes, connections and limits, and nothing about what a
// message means: package proxy gives it whole messages and gets whole, strictly parsed
// messages back.
package upstream

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/oauth"
	"github.com/rs/zerolog"
)

// Options say how a server is reached. Command or URL is set.
type Options struct {
	Name string // of the server, for the log

	Command string
	Args    []string
	Env     []string // the child's whole environment, "KEY=value" each; Command is looked up in its PATH
	Dir     string   // its working directory, to which a relative path in Command is relative

	URL    string
	SSE    bool // HTTP+SSE of protocol 2024-11-05 instead of Streamable HTTP
	Header http.Header
	OAuth  *oauth.Source // gives the access token of each request; nil if the server wants none

	Timeout    time.Duration // to connect, TLS included; 0 means 30 s. Waiting for an answer is bounded by Send's context only
	MaxMessage int           // bytes of one message; 0 means jsonrpc.DefaultMaxBytes
	Grace      time.Duration // a child gets this to end after its input is closed, and again after SIGTERM; 0 means 2 s

	Log   zerolog.Logger      // already names the server
	Scrub func(string) string // takes secrets out of what is logged or put into an error; never nil

	Events Events
}

// Events tell what a server did. They are called from the transport's reading
// goroutines, for one stream in order, and must not wait for anything that another
// message of the same stream would bring. They may call the transport's methods.
type Events struct {
	// Message is called for each message. origin is Outgoing.ID of the request on whose
	// HTTP response stream it came, or 0 where the transport cannot say: over stdio,
	// SSE and the stream of a GET.
	Message func(m *jsonrpc.Message, origin int64)

	// Idle is called when the stream on which the last messages came has no more at hand,
	// over stdio only. It may be nil.
	Idle func()

	// Malformed is called for input that is not one acceptable message. err.ID is set
	// where the id could still be recovered.
	Malformed func(err *jsonrpc.ParseError, origin int64)

	// Closed is called once when the connection has ended, with the reason, or nil
	// after Close. No other event follows. Close may return before it.
	Closed func(err error)
}

// Outgoing is one message to the server.
type Outgoing struct {
	Raw    []byte      // one line without its end
	ID     int64       // of a request; 0 for notifications and responses
	Header http.Header // for HTTP only: Mcp-Method, Mcp-Name, Mcp-Param-*; may be nil
	Next   [][]byte    // for stdio only: messages like Raw that go out behind it, in one write with it
}

// Transport is one connection to a server. Its methods may be called concurrently.
type Transport interface {
	// Send writes a message. For a request over HTTP it returns when the response stream
	// has ended, its messages having been given to Events.Message; the end of ctx closes
	// the stream. Over stdio and SSE it returns once the message is written.
	Send(ctx context.Context, m Outgoing) error

	// Negotiated tells the transport the protocol version that was agreed. Over HTTP it
	// goes out as MCP-Protocol-Version; for a legacy version, the stream for messages of
	// no request is opened as well, once the server has accepted the next message, which
	// is notifications/initialized.
	Negotiated(version string, legacy bool)

	// SetHeader puts other headers in the place of Options.Header, from the next request
	// on. Over stdio it does nothing.
	SetHeader(h http.Header)

	// Close ends the connection, and a child process with all its descendants. It
	// returns when they are gone.
	Close()
}

// ErrClosed is what Send returns once the connection has ended.
var ErrClosed = errors.New("the connection to the server has ended")

// ErrNotSent is among the errors of Send where nothing of the message was sent: it could
// not connect, or the server was gone before the first byte.
var ErrNotSent = errors.New("nothing was sent")

// unsent is an error of Send that is [ErrNotSent] as well, which its text needs not say.
type unsent struct{ error }

func (e unsent) Unwrap() []error { return []error{e.error, ErrNotSent} }

// StatusError is an HTTP response that is an error and no JSON-RPC message.
type StatusError struct {
	Code int    // HTTP status
	Body string // its beginning, at most 512 bytes, without secrets
}

func (e *StatusError) brief() string {
	s := "the server answered with HTTP status " + strconv.Itoa(e.Code)
	if text := http.StatusText(e.Code); text != "" {
		s += " (" + text + ")"
	}
	return s
}

// Error names the status and what the server said.
func (e *StatusError) Error() string {
	s := e.brief()
	if e.Body != "" {
		s += ": " + e.Body
	}
	return s
}

// ended is the end of a child process, with what it last said on its standard error.
type ended struct{ how, words string }

func (e *ended) Error() string {
	if e.words == "" {
		return e.how
	}
	return e.how + "; its last words: " + e.words
}

// Brief returns what an error of a Transport says without words of the server or of those
// on the way to it, or "" if all that it says is our own.
func Brief(err error) string {
	var end *ended
	var status *StatusError
	var broken *scrubbed
	switch {
	case errors.As(err, &end):
		return end.how
	case errors.As(err, &status):
		return status.brief()
	case errors.As(err, &broken):
		return "the connection to the server failed"
	}
	return ""
}

// Open connects to a server: it starts the child process, or waits for the endpoint of
// HTTP+SSE. Streamable HTTP has nothing to open; its first message finds out. The end of
// ctx ends the attempt, not a connection that was made.
func Open(ctx context.Context, o Options) (Transport, error) {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = jsonrpc.DefaultMaxBytes
	}
	if o.Grace == 0 {
		o.Grace = 2 * time.Second
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case (o.Command == "") == (o.URL == ""):
		return nil, errors.New("a server needs either a command or a URL")
	case o.Command != "":
		return openStdio(o)
	case o.SSE:
		return openSSE(ctx, o)
	default:
		return openHTTP(o)
	}
}
