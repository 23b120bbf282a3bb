package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/mcpfirewall/mcpfirewall/proxy/upstream"
	"github.com/mcpfirewall/mcpfirewall/vault"
)

// This file keeps the credentials of a server current. What its references stand for is
// resolved before it is started, for the principal whose connections these are. When a
// value changes, what takes it without a new connection does so with the next call:
// headers and injected arguments. For all else the server is started or reached a second
// time with the new values, beside the first; calls go to the second from then on, those
// under way at the first end there, and then it is ended. Only then are the old values
// given up. A server that was told too little of what its client can do is replaced the
// same way.
//
// A server of which there cannot be two, since it holds a lock or a port, does not
// come up beside itself: after some tries, or when the old values have ended, it is ended
// first, in a moment in which it does nothing if there is one, and calls wait.

// credentials are what a connection is made with and what its calls carry, as of one grant.
type credentials struct {
	grant  *vault.Grant
	url    string
	header http.Header
	args   []string
	env    map[string]string
	inject []string // by index in the configuration's Inject
	unfit  error    // why no connection can be made with them
}

// acquire resolves the references of the server's configuration.
func (c *conn) acquire(ctx context.Context) (*credentials, error) {
	refs := c.cfg.References()
	texts := make([]string, len(refs))
	for i, ref := range refs {
		texts[i] = ref.Text
	}
	grant, err := c.fleet.relay.vault.Acquire(ctx, texts, vault.Vars{Subject: c.fleet.principal})
	if err != nil {
		return nil, &outage{"its credentials could not be obtained", fmt.Errorf("resolving references: %w", err)}
	}
	return c.equip(grant), nil
}

// equip sorts the values of a grant. They are known to the redactor before anything uses
// them.
func (c *conn) equip(grant *vault.Grant) *credentials {
	c.fleet.relay.learn(grant.Secrets)
	// The order is that of config.Server.References.
	rest := grant.Values
	take := func() (v string) { v, rest = rest[0], rest[1:]; return v }
	k := &credentials{grant: grant, header: http.Header{}, env: map[string]string{}}
	if c.cfg.URL != "" {
		k.url = take()
	}
	for range c.cfg.Args {
		k.args = append(k.args, take())
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Env)) {
		k.env[name] = take()
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Headers)) {
		value := take()
		k.header.Set(name, value)
		if err := CheckHeader(c.cfg.Headers[name], value, grant.Secrets); err != nil && k.unfit == nil {
			k.unfit = &outage{"its credentials cannot be used", fmt.Errorf("headers.%s: %w", name, err)}
		}
	}
	k.inject = rest
	return k
}

// connects reports whether a connection that was made with other can go on with k.
func (k *credentials) connects(other *credentials) bool {
	return k.url == other.url && slices.Equal(k.args, other.args) && maps.Equal(k.env, other.env)
}

// options returns how the server is reached with the credentials.
func (c *conn) options(k *credentials) (upstream.Options, error) {
	o := upstream.Options{Name: c.name, Dir: c.cfg.Cwd, URL: k.url, SSE: c.cfg.Transport == "sse", Header: k.header, Timeout: c.cfg.Timeout,
		MaxMessage: int(c.cfg.MaxMessage), Log: c.log, Scrub: c.fleet.relay.redact.Text}
	var err error
	if c.cfg.URL != "" {
		o.OAuth, err = c.accessTokens(k.url)
		return o, err
	}
	o.Args, o.Env = k.args, environment(k.env)
	o.Command, err = c.executable()
	return o, err
}

// start connects the server with credentials of its own.
func (c *conn) start() (*link, error) {
	keys, err := c.acquire(c.ctx)
	if err != nil {
		return nil, err
	}
	l, err := c.connect(c.ctx, keys)
	if err != nil {
		c.release(keys)
	}
	return l, err
}

// follow keeps the credentials, and what the server knows of the client, current until the
// connection ends. It returns the link that was the last one.
func (c *conn) follow(l *link) *link {
	for {
		var keys *credentials
		why := otherKeys
		next, err := l.await()
		switch {
		case err != nil:
			l.end(&outage{"its credentials have ended", fmt.Errorf("its credentials have ended: %w", err)})
			<-l.gone
			return l
		case l.ended():
			if next != nil {
				next.Close()
			}
			return l
		case next != nil:
			keys = c.equip(next)
		case l.informed():
			continue
		default:
			why = otherClient
			if keys, err = c.acquire(c.ctx); err != nil {
				c.log.Warn().Str("reason", c.fleet.relay.redact.Text(err.Error())).Msg("server not started anew for what its client can do: it does not know of that")
				continue
			}
		}
		if l = c.change(l, keys, why); l.ended() {
			return l
		}
	}
}

// Why a server is started beside itself, for logs and records.
const (
	otherKeys   = "credentials changed"
	otherClient = "the client has turned out to be able to do more"
)

// await waits for the values that come after those that the link has. It returns none when
// the link has ended, or the client has turned out to be another. An error means that the
// values are void and that there are no others.
func (l *link) await() (*vault.Grant, error) {
	grant := l.keys.Load().grant
	if grant.Static() {
		select {
		case <-l.gone:
		case <-l.conn.settling:
		}
		return nil, nil
	}
	ctx, stop := context.WithCancel(l.conn.ctx)
	defer stop()
	go func() {
		select {
		case <-l.gone:
			stop()
		case <-l.conn.settling:
			stop()
		case <-ctx.Done():
		}
	}()
	next, err := grant.Next(ctx)
	if ctx.Err() == nil || err == nil {
		return next, err
	}
	if l.conn.ctx.Err() != nil {
		<-l.gone
	}
	return nil, nil
}

// besideTries is how often a server is started beside the one that has the old credentials
// before that one is ended for it.
const besideTries = 3

// change puts new credentials in force and returns the link that has them, or one that has
// ended if there is no other.
func (c *conn) change(l *link, keys *credentials, why string) *link {
	began, failed := time.Now(), 0
	for delay := leastDelay; ; delay = min(2*delay, greatestDelay) {
		over := l.keys.Load().over()
		switch {
		case keys.unfit != nil && over:
			c.release(keys)
			l.end(keys.unfit)
			<-l.buried
			return l
		case keys.unfit != nil:
			c.log.Warn().Str("reason", c.fleet.relay.redact.Text(keys.unfit.Error())).Msg("new credentials of the server cannot be used: it goes on with the old ones while they last")
		case l.informed() && keys.connects(l.keys.Load()):
			c.rekey(l, keys)
			return l
		default:
			if n := c.beside(l, keys, delay, why); n != nil {
				return n
			}
			failed++
			over = l.keys.Load().over()
		}
		// It may also have waited for the other's lock. Over HTTP there can always be two.
		only := c.cfg.URL == "" && (failed == besideTries || failed < besideTries && time.Since(began) > handshakeTime)
		if keys.unfit == nil && (over || only) {
			failed = besideTries
			if l = c.instead(l, keys, over, why); l.ended() || l.keys.Load() == keys {
				return l
			}
		}
		next := c.renewed(l, keys, delay)
		if next == nil {
			return l
		}
		if next != keys {
			keys, began, failed = next, time.Now(), 0
		}
	}
}

// over reports whether the credentials have ended.
func (k *credentials) over() bool {
	left, ends := k.grant.Ends()
	return ends && left == 0
}

// whileValid returns a context that ends with the credentials, and at the latest after limit.
func (k *credentials) whileValid(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if left, ends := k.grant.Ends(); ends {
		limit = min(limit, left)
	}
	return context.WithTimeout(ctx, limit)
}

// beside starts the server with new credentials beside the link, and puts it in the link's
// place. It returns nil if it did not come up while the old credentials last.
func (c *conn) beside(l *link, keys *credentials, delay time.Duration, why string) *link {
	ctx, cancel := l.keys.Load().whileValid(c.ctx, handshakeTime+defaultTimeout)
	defer cancel()
	c.room(ctx, l)
	stop := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			if l.keys.Load().over() {
				c.hold(l)
			}
		case <-stop:
		}
	}()
	n, err := c.connect(ctx, keys)
	close(stop)
	if err == nil {
		c.replace(l, n, why)
		return n
	}
	reason := c.fleet.relay.redact.Text(err.Error())
	c.log.Warn().Str("because", why).Str("reason", reason).Stringer("retry", delay).Msg("server did not come up beside itself: it goes on as it is while it can")
	return nil
}

// instead ends the link and starts the server with new credentials in its place. If that
// fails it is started once more with the old ones, unless they are over. It returns the
// link that came up; if none did, the old one.
func (c *conn) instead(l *link, keys *credentials, over bool, why string) *link {
	old := l.keys.Load()
	ctx, cancel := old.whileValid(c.ctx, c.timeout())
	l.waitFor(ctx, l.idle()) // a moment in which ending it costs no call anything
	cancel()
	c.hold(l)
	ctx, cancel = context.WithTimeout(c.ctx, c.timeout()/2) // the rest is for the start
	l.waitFor(ctx, l.retire())
	cancel()
	over = over || !l.lend()
	l.end(errors.New("it is started anew: " + why))
	<-l.buried
	n, err := c.connect(c.ctx, keys)
	switch {
	case err == nil && !over:
		c.release(old)
	case err != nil && over:
		c.release(keys)
	case err != nil:
		c.log.Warn().Str("reason", c.fleet.relay.redact.Text(err.Error())).Msg("server did not come up with its new credentials: it is started with the old ones")
		if n, err = c.connect(c.ctx, old); err != nil {
			c.release(old)
			c.release(keys)
		}
	}
	if err != nil {
		c.log.Warn().Str("reason", c.fleet.relay.redact.Text(err.Error())).Msg("server did not come up with new credentials")
		c.letGo()
		return l
	}
	n.resubscribe()
	c.publish(n)
	c.changed(l, n, why)
	return n
}

// renewed waits before credentials are tried again, no longer than the old ones last, and
// returns them or those that have come in their place. It returns nil once the link that
// has the old ones has ended.
func (c *conn) renewed(l *link, keys *credentials, delay time.Duration) *credentials {
	ctx, stop := l.keys.Load().whileValid(c.ctx, delay)
	defer stop()
	go func() {
		select {
		case <-l.gone:
			stop()
		case <-ctx.Done():
		}
	}()
	next, err := keys.grant.Next(ctx)
	waited := ctx.Err() != nil
	if err != nil {
		<-ctx.Done()
	}
	switch {
	case l.ended() || c.ctx.Err() != nil:
		c.release(keys)
		if err == nil {
			next.Close()
		}
		return nil
	case err == nil:
		c.release(keys)
		return c.equip(next)
	case !waited:
		// They have ended unused: others are got, or the wait goes on.
		if fresh, err := c.acquire(c.ctx); err == nil {
			c.release(keys)
			return fresh
		}
	}
	return keys
}

// rekey gives a connection that stays as it is new headers and new injected arguments.
func (c *conn) rekey(l *link, keys *credentials) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		c.release(keys)
		return
	}
	old := l.keys.Swap(keys)
	l.transport.SetHeader(keys.header)
	quiet := l.quiet(l.lastID)
	l.mu.Unlock()
	c.log.Info().Msg("credentials of the server changed")
	c.fleet.relay.event("credentials changed", c.name, nil)
	c.draining.Go(func() {
		select {
		case <-quiet:
		case <-l.gone:
		case <-time.After(c.drainLimit()):
		}
		c.release(old)
	})
}

// replace lets calls go to the new link, and ends the old one when its calls have ended.
func (c *conn) replace(old, n *link, why string) {
	n.resubscribe() // before the switch, so that no update of a resource is missed
	c.mu.Lock()
	c.retired = append(c.retired, old)
	c.mu.Unlock()
	c.publish(n)
	quiet := old.retire()
	c.changed(old, n, why)
	c.draining.Go(func() {
		select {
		case <-quiet:
		case <-old.gone:
		case <-time.After(c.drainLimit()):
			c.log.Warn().Msg("calls at a server that was replaced are given up: they take too long")
		}
		old.end(errors.New("it was replaced: " + why))
		<-old.buried
		c.mu.Lock()
		defer c.mu.Unlock()
		c.retired = slices.DeleteFunc(c.retired, func(l *link) bool { return l == old })
		close(c.left)
		c.left = make(chan struct{})
	})
}

// changed tells of a new link in the place of an old one.
func (c *conn) changed(old, n *link, why string) {
	c.log.Info().Str("because", why).Msg("server was started anew")
	c.fleet.relay.event(why+": server started anew", c.name, nil)
	c.fleet.announce(n.catalog.changed(&old.catalog)...)
	n.resubscribe() // to what was asked for between the two
}

// maxRetired bounds the links of one connection that still have calls to end.
const maxRetired = 4

// room waits until there are few enough links that have calls to end.
func (c *conn) room(ctx context.Context, l *link) {
	for {
		c.mu.Lock()
		n, left := len(c.retired), c.left
		c.mu.Unlock()
		if n < maxRetired {
			return
		}
		select {
		case <-left:
		case <-l.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// drainLimit bounds how long a link that was replaced is kept for calls under way, all of
// which have limits of their own, and for tasks, which may have none.
func (c *conn) drainLimit() time.Duration { return max(maxStretch*c.timeout(), stateTTL) }

// holder returns the link that was replaced and still has the task, or nil.
func (c *conn) holder(task string) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.retired {
		if l.hasTask(task) {
			return l
		}
	}
	return nil
}
