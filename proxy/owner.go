package proxy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// This file is about calls of what no server is known to have: it may have one that is not
// up.

// waitForOwner waits for the server that the call could be for. It returns an error if that one is
// not available. What could be of any server waits as long as a list does, and what can be
// of none does not wait.
func (k *call) waitForOwner() error {
	c, anybody := k.owner()
	switch {
	case c != nil:
		ctx, cancel := context.WithTimeout(k.x.ctx, c.timeout())
		defer cancel()
		_, err := c.live(ctx)
		return err
	case anybody:
		k.x.s.gather(k.x.ctx)
	}
	return nil
}

// owner returns the connection to the server that the target is of, whether that has it or
// not; nil if none is, or if anybody could be it.
func (k *call) owner() (c *conn, anybody bool) {
	f := k.x.s.fleet
	conns := f.all()
	if len(conns) == 1 {
		return conns[0], false
	}
	if f.relay.current.Load().prefix && !k.byURI() {
		server, _, _ := strings.Cut(k.target, "__") // which no server has in its name
		return byName(conns, server), false
	}
	if c := k.listed(); c != nil {
		return byName(conns, c.conn.name), false
	}
	return nil, true
}

func byName(conns []*conn, name string) *conn {
	if i := slices.IndexFunc(conns, func(c *conn) bool { return c.name == name }); i >= 0 {
		return conns[i]
	}
	return nil
}

// byURI reports whether the target is a resource, whose name does not say whose it is.
func (k *call) byURI() bool {
	return k.x.m.Method == "resources/read" || len(jsonrpc.Get(k.x.m.At(k.x.param("ref")), "uri")) > 0
}

// listed returns what the target was in the lists that the client fetched last.
func (k *call) listed() *capability {
	s := k.x.s
	s.mu.Lock()
	views := slices.Collect(maps.Values(s.listed))
	s.mu.Unlock()
	for _, v := range views {
		if c := k.lookup(v); c != nil {
			return c
		}
	}
	return nil
}
