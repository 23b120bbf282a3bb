package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// oldSSE is a server behind HTTP with SSE: basic/transports of 2024-11-05.
type oldSSE struct {
	web
	endpoint *url.URL
}

// openSSE opens the stream and waits for its first event, which says where messages go.
func openSSE(ctx context.Context, o Options) (Transport, error) {
	t := &oldSSE{}
	if err := t.init(o); err != nil {
		return nil, err
	}
	t.enter()
	// Until the endpoint is known, the time limit and ctx may end what w.ctx carries on.
	limit := time.AfterFunc(o.Timeout, t.stop)
	stop := context.AfterFunc(ctx, t.stop)
	r, res, err := t.connect()
	if err == nil && (!limit.Stop() || !stop()) {
		res.Body.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		limit.Stop()
		stop()
		t.stop()
		t.transport.CloseIdleConnections()
		if ctx.Err() != nil {
			err = ctx.Err()
		} else if errors.Is(err, context.Canceled) {
			err = fmt.Errorf("no endpoint event within %v", o.Timeout)
		}
		return nil, &scrubbed{"connecting to server " + o.Name + ": " + o.Scrub(err.Error()), err}
	}
	go t.read(r, res)
	return t, nil
}

// connect opens the stream and reads up to the endpoint event.
func (t *oldSSE) connect() (*eventReader, *http.Response, error) {
	req := t.request(t.ctx, http.MethodGet, t.url, nil, nil)
	req.Header["Accept"] = []string{eventType}
	res, err := t.do(req)
	if err != nil {
		return nil, nil, err
	}
	if err = t.checkStatus(res); err == nil && !isType(res, eventType) {
		err = fmt.Errorf("the server did not answer with %s; is this a server of the HTTP+SSE transport?", eventType)
	}
	if err != nil {
		res.Body.Close()
		return nil, nil, err
	}
	r := newEventReader(res.Body, t.o.MaxMessage)
	e, err := r.next()
	switch {
	case err != nil:
		err = fmt.Errorf("the stream ended before the endpoint event: %w", err)
	case e.name != "endpoint":
		err = errors.New("the stream did not begin with an endpoint event")
	default:
		t.endpoint, err = t.resolve(string(e.data))
	}
	if err != nil {
		res.Body.Close()
		return nil, nil, err
	}
	return r, res, nil
}

// resolve returns the address that messages are posted to. It has to have the origin of
// the configured URL, since credentials go there.
func (t *oldSSE) resolve(endpoint string) (*url.URL, error) {
	u, err := t.url.Parse(strings.TrimSpace(endpoint))
	if err != nil {
		return nil, errors.New("the endpoint event holds no valid URL")
	}
	if u.Scheme != t.url.Scheme || !strings.EqualFold(u.Hostname(), t.url.Hostname()) || port(u) != port(t.url) || u.User != nil {
		return nil, fmt.Errorf("the endpoint event leads to another origin (%s://%s), to which no messages are sent", u.Scheme, u.Host)
	}
	return u, nil
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// read gives the stream's messages to the events until it ends.
func (t *oldSSE) read(r *eventReader, res *http.Response) {
	defer t.leave()
	defer res.Body.Close()
	defer r.close()
	for {
		e, err := r.next()
		var long *tooLong
		switch {
		case errors.As(err, &long):
			t.sink.tooLong(long, 0)
		case err != nil:
			t.finish(&scrubbed{"the server ended the stream of events: " + t.o.Scrub(err.Error()), err})
			return
		case e.name == "":
			t.sink.message(e.data, 0)
		}
	}
}

// Send posts a message; the answer comes over the stream.
func (t *oldSSE) Send(ctx context.Context, m Outgoing) error {
	if !t.enter() {
		return unsent{t.ending()}
	}
	defer t.leave()
	bound, cancel := t.bind(ctx)
	defer cancel()
	req := t.request(bound, http.MethodPost, t.endpoint, m.Raw, m.Header)
	res, err := t.post(ctx, req)
	if err != nil {
		return err
	}
	switch {
	case res.StatusCode >= 400:
		defer res.Body.Close()
		return t.refusal(res, m)
	case res.StatusCode >= 300:
		defer res.Body.Close()
		return t.checkStatus(res)
	}
	discard(res)
	return nil
}

// Negotiated is of no interest: this transport has no header for the version.
func (t *oldSSE) Negotiated(version string, legacy bool) {}

// Close ends the stream.
func (t *oldSSE) Close() { t.finish(nil) }
