package proxy

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// listKind is one of the lists that a server offers.
type listKind struct {
	method     string
	member     string // of the result
	capability string // that declares it
	key        string // names an item
	notice     string // says that it changed; "" if none of its own does
}

var (
	toolList     = listKind{"tools/list", "tools", "tools", "name", "notifications/tools/list_changed"}
	resourceList = listKind{"resources/list", "resources", "resources", "uri", "notifications/resources/list_changed"}
	templateList = listKind{"resources/templates/list", "resourceTemplates", "resources", "uriTemplate", "notifications/resources/list_changed"}
	promptList   = listKind{"prompts/list", "prompts", "prompts", "name", "notifications/prompts/list_changed"}
	listKinds    = []listKind{toolList, resourceList, templateList, promptList}
)

// Bounds of what one server may list.
const (
	maxPages     = 2000
	maxListBytes = 64 << 20
)

// item is one definition of a list as the server sent it.
type item struct {
	raw  []byte
	name string // or URI, or URI template
}

// catalog holds the lists of one link as they were last fetched.
type catalog struct {
	link *link

	mu      sync.Mutex
	lists   map[string][]item // by method
	pending chan struct{}     // closed when the refresh under way is done; nil if there is none
	again   bool              // another change was announced during the refresh
	serial  int64             // counts the changes, for views to notice

	gen   *generation              // that binds belongs to
	binds map[string][]*capability // by method: the list with the policy bound to it
}

// fetch gets the given lists and puts them in place of the old ones.
func (c *catalog) fetch(ctx context.Context, kinds ...listKind) error {
	for _, k := range kinds {
		if !c.link.has(k.capability) {
			continue
		}
		items, err := c.get(ctx, k)
		if err != nil {
			return err
		}
		c.mu.Lock()
		if c.lists == nil {
			c.lists = map[string][]item{}
		}
		c.lists[k.method] = items
		c.serial++
		delete(c.binds, k.method)
		c.mu.Unlock()
		c.link.conn.fleet.relay.epoch.Add(1)
	}
	return nil
}

// get fetches all pages of a list.
func (c *catalog) get(ctx context.Context, k listKind) ([]item, error) {
	var items []item
	var params []byte
	seen := map[string]bool{}
	size := 0
	for range maxPages {
		m, err := c.link.request(k.method, params)
		if err != nil {
			return nil, fmt.Errorf("fetching %s: %w", k.method, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("fetching %s: %w", k.method, err)
		}
		if m.Kind == jsonrpc.Failure {
			code, _ := jsonrpc.Int(jsonrpc.Get(m.At(m.Error), "code"))
			if code == jsonrpc.CodeMethodNotFound {
				return nil, nil // declared, but not there: an empty list harms nobody
			}
			message, _ := jsonrpc.GetString(m.At(m.Error), "message")
			return nil, fmt.Errorf("fetching %s: the server answered with error %d: %s", k.method, code, visible.Name(message))
		}
		if _, err := c.link.resultType(m); err != nil {
			return nil, fmt.Errorf("fetching %s: %w", k.method, err)
		}
		if known := resultNames.Clash(m.Raw, m.Result); known != "" {
			return nil, fmt.Errorf("fetching %s: a name in the result equals a known one but for upper and lower case", k.method)
		}
		if size += len(m.Raw); size > maxListBytes {
			return nil, fmt.Errorf("fetching %s: the list is larger than %d MiB", k.method, maxListBytes>>20)
		}
		for span := range jsonrpc.Elements(m.Raw, jsonrpc.Find(m.Raw, m.Result, k.member)) {
			raw := m.At(span)
			name, ok := jsonrpc.GetString(raw, k.key)
			if known := definitionNames.Clash(raw, jsonrpc.Span{End: len(raw)}); !ok || known != "" {
				c.link.conn.log.Warn().Str("list", k.method).Msg("definition withheld: it has no name, or a name in it equals a known one but for upper and lower case")
				continue
			}
			items = append(items, item{raw: raw, name: name})
		}
		next := jsonrpc.Get(m.At(m.Result), "nextCursor")
		if len(next) == 0 || next[0] != '"' {
			return items, nil
		}
		if seen[string(next)] {
			return nil, fmt.Errorf("fetching %s: the server's pages go round in a circle", k.method)
		}
		seen[string(next)] = true
		params = append(append([]byte(`{"cursor":`), next...), '}')
	}
	return nil, fmt.Errorf("fetching %s: more than %d pages", k.method, maxPages)
}

var definitionNames = jsonrpc.NewNames("name", "title", "description", "inputSchema", "outputSchema", "annotations", "icons",
	"_meta", "execution", "uri", "uriTemplate", "mimeType", "size", "arguments")

// How often a list is fetched again at once when it changes while it is fetched, and the
// pause before the next time after that.
const (
	maxRefreshes = 3
	refreshPause = time.Second
)

// refresh fetches lists again after the server said that they changed. Until it is done,
// calls wait in fresh.
func (c *catalog) refresh(kinds []listKind, then func(error)) {
	c.mu.Lock()
	if c.pending != nil {
		c.again = true
		c.mu.Unlock()
		return
	}
	pending := make(chan struct{})
	c.pending = pending
	c.mu.Unlock()
	go func() {
		for round := 1; ; round++ {
			ctx, cancel := context.WithTimeout(c.link.conn.ctx, defaultTimeout)
			err := c.fetch(ctx, kinds...)
			cancel()
			c.mu.Lock()
			again := c.again && err == nil
			c.again = false
			if again && round < maxRefreshes {
				kinds = listKinds
				c.mu.Unlock()
				continue
			}
			c.pending = nil
			c.mu.Unlock()
			close(pending)
			then(err)
			if again { // it changes its lists without end: it is followed at a walk
				time.AfterFunc(refreshPause, func() { c.refresh(listKinds, then) })
			}
			return
		}
	}()
}

// stale reports whether the server announced a change that has not been fetched yet.
func (c *catalog) stale() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending != nil
}

// fresh waits until the lists that the server last announced have been fetched.
func (c *catalog) fresh(ctx context.Context) error {
	c.mu.Lock()
	pending := c.pending
	c.mu.Unlock()
	if pending == nil {
		return nil
	}
	select {
	case <-pending:
		return nil
	case <-c.link.gone:
		return c.link.reason()
	case <-ctx.Done():
		return fmt.Errorf("server %s changed its lists, and fetching them took too long", c.link.conn.name)
	}
}

// bound returns a list with the policy bound to each item. The capabilities are shared by
// all views and must not be changed.
func (c *catalog) bound(gen *generation, k listKind) []*capability {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen != gen || c.binds == nil {
		c.gen, c.binds = gen, map[string][]*capability{}
	}
	caps, ok := c.binds[k.method]
	if !ok {
		caps = make([]*capability, 0, len(c.lists[k.method]))
		for _, it := range c.lists[k.method] {
			caps = append(caps, newCapabilities(gen, c.link, k, it)...)
		}
		c.binds[k.method] = caps
	}
	return caps
}

// listChanged is the server's word that a list of its changed.
func (l *link) listChanged(m *jsonrpc.Message, _ *upcall) {
	if l.replaced() {
		return
	}
	var kinds []listKind
	for _, k := range listKinds {
		if k.notice == m.Method {
			kinds = append(kinds, k)
		}
	}
	l.catalog.refresh(kinds, func(err error) {
		if err != nil {
			l.end(because("its lists could not be fetched", err)) // its capabilities are unknown now: it is started again
			return
		}
		for _, s := range l.audience() {
			s.listChanged(kinds[0].capability, true)
		}
	})
}

// audience are the sessions that a server's messages to nobody in particular concern.
func (l *link) audience() []*Session { return l.conn.fleet.members() }

// A list waits for servers that are coming up for the first time: while none is up yet, for
// at most listWait; and when one is, until listGrace after the connections were made, since
// there are clients that overlook a list_changed. What comes later is announced.
const (
	listWait  = 5 * time.Second
	listGrace = time.Second
)

// gather waits, in that sense, until the lists can be answered. One slow or dead server
// delays nobody for longer than the grace, and nobody at all after it.
func (s *Session) gather(ctx context.Context) {
	age := time.Since(s.fleet.born)
	if age > listWait {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, listWait)
	defer cancel()
	conns := s.fleet.all()
	came := make(chan struct{}, len(conns))
	coming := 0
	for _, c := range conns {
		settled := c.settled()
		if c.failed() != nil || closed(settled) {
			continue
		}
		coming++
		go func() {
			select {
			case <-settled:
				came <- struct{}{}
			case <-ctx.Done():
			}
		}()
	}
	grace := time.NewTimer(max(listGrace-age, 0))
	defer grace.Stop()
	for ; coming > 0; coming-- {
		var over <-chan time.Time
		if slices.ContainsFunc(conns, func(c *conn) bool { return c.up() != nil }) {
			over = grace.C
		}
		select {
		case <-came:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
