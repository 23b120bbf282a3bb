package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// How a stream is taken up again. The waits apply where the server asks for no other.
const (
	firstWait   = time.Second
	longestWait = 30 * time.Second
	leastWait   = 100 * time.Millisecond // even if the server asks for less
	maxFailures = 5                      // in a row, to get at the rest of an answer
)

// cursor is a place in a stream of events.
type cursor struct {
	lastID string
	retry  time.Duration // or -1
	events int           // read in all
}

// readEvents gives the messages of a stream to the events until it ends, and reports
// whether the response to the request id was among them; 0 is no request. The error is
// the stream's.
func (t *streamable) readEvents(res *http.Response, c *cursor, id int64, cancel func()) (answered bool, err error) {
	defer res.Body.Close()
	if res.Header.Get("Content-Encoding") != "" {
		return false, errors.New("the stream has a content encoding that was not asked for")
	}
	r := newEventReader(res.Body, t.o.MaxMessage)
	r.lines.hint = int(t.longest.Load())
	defer func() {
		t.longest.Store(int64(r.lines.hint))
		r.close()
	}()
	r.lastID = c.lastID
	for {
		e, err := r.next()
		c.lastID = r.lastID
		if r.retry >= 0 {
			c.retry = r.retry
		}
		var long *tooLong
		switch {
		case errors.As(err, &long):
			c.events++
			t.sink.tooLong(long, id)
			continue
		case err != nil:
			return answered, err
		}
		c.events++
		if e.name != "" {
			continue // heartbeats and the like
		}
		m := t.sink.message(e.data, id)
		if m != nil && id != 0 && !answered && answers(m, id) {
			answered = true
			// What should follow is the end of the stream, after which the connection can be
			// used again. A server that leaves it open is not waited for.
			defer time.AfterFunc(lingerTime, cancel).Stop()
		}
	}
}

// open requests a stream that continues at c.
func (t *streamable) open(ctx context.Context, c *cursor) (*http.Response, error) {
	req := t.request(ctx, http.MethodGet, t.url, nil, nil)
	req.Header["Accept"] = []string{eventType}
	t.address(req, true)
	if c.lastID != "" {
		req.Header[eventIDHeader] = []string{c.lastID}
	}
	res, err := t.do(req)
	if err != nil {
		return nil, err
	}
	if err = t.checkStatus(res); err == nil && !isType(res, eventType) {
		err = fmt.Errorf("the server answered a GET with something else than %s", eventType)
	}
	if err != nil {
		res.Body.Close()
		return nil, err
	}
	return res, nil
}

// resume reads the rest of the answer to the request id: basic/transports "Resumability
// and Redelivery" of 2025-11-25. A server may end the connection as often as it wants to;
// failures in a row end the attempt, and so does ctx.
func (t *streamable) resume(ctx context.Context, c *cursor, id int64, cancel func()) (answered bool, err error) {
	for failures := 0; failures < maxFailures; {
		if !pause(ctx, c.wait(failures)) {
			return false, ctx.Err()
		}
		res, err2 := t.open(ctx, c)
		if err2 != nil {
			err = err2
			if hopeless(err) {
				return false, err
			}
			failures++
			continue
		}
		failures = 0
		if answered, err = t.readEvents(res, c, id, cancel); answered {
			return true, nil
		}
	}
	return false, err
}

// listenForMessages reads the stream of messages that belong to no request, for as long
// as the connection lasts. A server need not have one.
func (t *streamable) listenForMessages() {
	defer t.leave()
	c := cursor{retry: -1}
	log := t.o.Log
	for idle := 0; ; idle++ {
		res, err := t.open(t.ctx, &c)
		switch {
		case err == nil:
			events, opened := c.events, time.Now()
			t.readEvents(res, &c, 0, t.stop)
			if c.events > events || time.Since(opened) > longestWait {
				idle = 0
			}
		case t.ctx.Err() != nil:
			return
		case hopeless(err):
			log.Debug().Str("reason", t.o.Scrub(err.Error())).Msg("the server has no stream for messages of its own")
			return
		default:
			log.Debug().Str("reason", t.o.Scrub(err.Error())).Msg("the stream for the server's own messages cannot be opened; it is tried again")
		}
		if !pause(t.ctx, c.wait(idle)) {
			return
		}
	}
}

// wait returns how long to wait before the next attempt after a number of vain ones.
func (c *cursor) wait(vain int) time.Duration {
	if c.retry >= 0 {
		return max(c.retry, leastWait)
	}
	return min(firstWait<<min(vain, 10), longestWait)
}

// hopeless reports whether trying again makes no sense: the server answered, and not
// that it is busy.
func hopeless(err error) bool {
	var status *StatusError
	if !errors.As(err, &status) {
		return false
	}
	return status.Code < 500 && status.Code != http.StatusTooManyRequests && status.Code != http.StatusRequestTimeout ||
		status.Code == http.StatusNotImplemented
}

// pause waits; it returns false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
