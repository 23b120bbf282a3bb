package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

const (
	maxHeadBytes  = 64 << 10 // of a response
	statusBody    = 512      // bytes of StatusError.Body
	connBuffer    = 16 << 10 // bytes that a connection reads and writes at once
	idleConns     = 64
	idleTime      = 90 * time.Second
	drainBytes    = 64 << 10 // that are read from an answer nobody needs, to keep the connection
	jsonType      = "application/json"
	eventType     = "text/event-stream"
	acceptedTypes = jsonType + ", " + eventType
)

// web is what both HTTP transports have in common.
type web struct {
	o    Options
	sink sink
	url  *url.URL
	user *url.Userinfo // of Options.URL
	head atomic.Pointer[heading]

	// A Transport and not a Client: it follows no redirect and keeps no cookie.
	transport *http.Transport

	longest atomic.Int64 // lineReader.hint of the last stream

	ctx  context.Context // ended by finish
	stop context.CancelFunc

	mu     sync.Mutex
	active int // calls of enter without leave
	ended  bool
	reason error
}

// heading is what every request carries. It is not changed once it is in use.
type heading struct {
	header http.Header
	host   string // for the Host header
}

func (w *web) init(o Options) error {
	u, err := url.Parse(o.URL)
	if err != nil {
		// The error of url.Parse quotes the URL, which may hold a secret.
		return fmt.Errorf("server %s: the url is not valid", o.Name)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("server %s: the url must begin with http:// or https:// and a host", o.Name)
	}
	u.Fragment = ""
	w.sink, w.url, w.user = newSink(&o), u, u.User
	u.User = nil
	w.SetHeader(o.Header)
	o.Header = nil // it may hold what is to be forgotten
	w.o = o
	w.transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    o.Timeout,
		MaxIdleConns:           idleConns,
		MaxIdleConnsPerHost:    idleConns,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeadBytes,
		ReadBufferSize:         connBuffer,
		WriteBufferSize:        connBuffer,
	}
	w.ctx, w.stop = context.WithCancel(context.Background())
	return nil
}

// SetHeader puts other headers in place from the next request on.
func (w *web) SetHeader(header http.Header) {
	now := &heading{header.Clone(), w.url.Host}
	if now.header == nil {
		now.header = http.Header{}
	}
	if h := now.header.Get("Host"); h != "" {
		now.host = h
		now.header.Del("Host")
	}
	if now.header.Get("User-Agent") == "" {
		now.header.Set("User-Agent", "mcpfirewall")
	}
	if w.user != nil && now.header.Get("Authorization") == "" {
		password, _ := w.user.Password()
		(&http.Request{Header: now.header}).SetBasicAuth(w.user.Username(), password)
	}
	w.head.Store(now)
}

// enter begins something that may cause events; it returns false after the end.
func (w *web) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	w.active++
	return true
}

// leave ends what enter began. The last one reports the end, so that no event follows.
func (w *web) leave() {
	w.mu.Lock()
	w.active--
	last := w.ended && w.active == 0
	w.mu.Unlock()
	if last {
		w.report()
	}
}

// finish ends the connection for the reason, nil for Close. It returns false if it had
// ended before.
func (w *web) finish(reason error) bool {
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return false
	}
	w.ended, w.reason = true, reason
	last := w.active == 0
	w.mu.Unlock()
	w.stop()
	if last {
		w.report()
	}
	return true
}

// report is on its own goroutine, because Close may be called with a lock held that the
// event needs.
func (w *web) report() {
	w.transport.CloseIdleConnections()
	go w.o.Events.Closed(w.reason)
}

// bind returns ctx, ended also by the end of the connection.
func (w *web) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// request returns a request with the headers that all have, and room for more.
func (w *web) request(ctx context.Context, method string, u *url.URL, body []byte, header http.Header) *http.Request {
	now := w.head.Load()
	h := make(http.Header, len(now.header)+len(header)+6)
	for k, v := range now.header {
		h[k] = v
	}
	for k, v := range header {
		h[k] = v
	}
	r := &http.Request{Method: method, URL: u, Host: now.host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if body != nil {
		h["Content-Type"] = []string{jsonType}
		r.ContentLength = int64(len(body))
		// GetBody lets net/http try another connection when one that was idle turns out to
		// be closed before anything was written.
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	return r.WithContext(ctx)
}

// post sends a message. Its error is [ErrNotSent] if there was no connection to write to.
func (w *web) post(ctx context.Context, req *http.Request) (*http.Response, error) {
	connected := atomic.Bool{} // a dial that is given up may go on beside
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	res, err := w.do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err == nil {
		return res, nil
	}
	if err = w.failed(ctx, "sending to the server", err); !connected.Load() {
		err = unsent{err}
	}
	return nil, err
}

// failed returns the error for a request or stream that broke with err. ctx is that of
// the caller.
func (w *web) failed(ctx context.Context, doing string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case w.ctx.Err() != nil:
		return w.ending()
	}
	return &scrubbed{doing + ": " + w.o.Scrub(err.Error()), err}
}

// ending returns the error of what the end of the connection broke off.
func (w *web) ending() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return fmt.Errorf("%w: %w", ErrClosed, w.reason)
	}
	return ErrClosed
}

// scrubbed is an error whose text has lost its secrets.
type scrubbed struct {
	text string
	err  error
}

func (e *scrubbed) Error() string { return e.text }
func (e *scrubbed) Unwrap() error { return e.err }

// checkStatus returns the error for a response whose status is none of success. It does
// not close the body.
func (w *web) checkStatus(res *http.Response) error {
	switch {
	case res.StatusCode < 300:
		return nil
	case res.StatusCode < 400:
		host := w.url.Host
		if to, err := w.url.Parse(res.Header.Get("Location")); err == nil {
			host = to.Host
		}
		return fmt.Errorf("the server answered with HTTP status %d, a redirect to the host %s; redirects are refused, because credentials would follow them: put the final address into url", res.StatusCode, w.o.Scrub(host))
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 16*statusBody))
	return &StatusError{res.StatusCode, quotable(body, statusBody-len("..."), w.o.Scrub)}
}

// refusal handles the answer to m with the status of an error. If its body is the
// JSON-RPC error for m, that goes to the events.
func (w *web) refusal(res *http.Response, m Outgoing) error {
	body, err := readBody(res, w.o.MaxMessage)
	if err == nil && m.ID != 0 && res.StatusCode != http.StatusUnauthorized {
		if answer := w.errorFor(m.ID, bytes.Clone(body)); answer != nil {
			w.sink.events.Message(answer, m.ID)
			return nil
		}
	}
	return &StatusError{res.StatusCode, quotable(body, statusBody-len("..."), w.o.Scrub)}
}

// errorFor returns the JSON-RPC error in body with the id of the request, or nil if body
// is none or is for another request.
func (w *web) errorFor(id int64, body []byte) *jsonrpc.Message {
	e, err := jsonrpc.Parse(oneLine(body), w.sink.limits)
	if err != nil || e.Kind != jsonrpc.Failure {
		return nil
	}
	if answers(e, id) {
		return e
	}
	if e.ID.Present() {
		return nil
	}
	// The server refused the request before it read the id, and says null or nothing.
	e, err = jsonrpc.Parse(jsonrpc.SetMember(e.Raw, "id", strconv.AppendInt(nil, id, 10)), w.sink.limits)
	if err != nil {
		return nil
	}
	return e
}

// answers reports whether m is the response to the request id.
func answers(m *jsonrpc.Message, id int64) bool {
	if m.Kind != jsonrpc.Result && m.Kind != jsonrpc.Failure {
		return false
	}
	n, ok := jsonrpc.Int(m.At(m.ID))
	return ok && n == id
}

// readBody reads a body of at most max bytes. On an error it returns what it has.
func readBody(res *http.Response, max int) ([]byte, error) {
	if e := res.Header.Get("Content-Encoding"); e != "" {
		return nil, fmt.Errorf("the answer has a content encoding that was not asked for")
	}
	if n := res.ContentLength; n > int64(max) {
		b, _ := io.ReadAll(io.LimitReader(res.Body, edgeSize))
		return b, fmt.Errorf("the answer of %d bytes is above the limit of %d", n, max)
	} else if n >= 0 {
		b := make([]byte, n)
		read, err := io.ReadFull(res.Body, b)
		if err == nil {
			// The end has to be read too for the connection to be used again.
			res.Body.Read(b[:0:0])
		}
		return b[:read], err
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, int64(max)+1))
	if err == nil && len(b) > max {
		err = fmt.Errorf("the answer is above the limit of %d bytes", max)
	}
	return b, err
}

// discard reads the little that an answer without interest has, so that its connection
// is used again, and closes it.
func discard(res *http.Response) {
	if !isType(res, eventType) {
		io.CopyN(io.Discard, res.Body, drainBytes)
	}
	res.Body.Close()
}

// isType reports whether the response's media type is the given one.
func isType(res *http.Response, want string) bool {
	t, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(t), want)
}
