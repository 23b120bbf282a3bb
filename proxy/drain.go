package proxy

import (
	"bytes"
	"context"
	"math"
	"slices"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// waiter waits for the clients' calls up to an id to end.
type waiter struct {
	last int64
	done chan struct{}
}

// retire keeps new calls of clients away from the link. The channel is closed when those
// under way, and the tasks that they became, have ended.
func (l *link) retire() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired = true
	return l.quiet(math.MaxInt64)
}

// idle returns a channel that is closed once no call of a client is under way, however
// many come until then.
func (l *link) idle() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.quiet(math.MaxInt64)
}

// waitFor waits for a channel of idle or retire, the link's end, or that of ctx.
func (l *link) waitFor(ctx context.Context, quiet <-chan struct{}) {
	select {
	case <-quiet:
	case <-l.gone:
	case <-ctx.Done():
	}
}

// lend keeps the link from giving its credentials up at its end. It reports whether it has
// not done so already.
func (l *link) lend() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent = true
	return !l.closed
}

// quiet returns a channel that is closed when the clients' calls with ids up to last have
// ended. It is called with the link locked.
func (l *link) quiet(last int64) <-chan struct{} {
	w := waiter{last, make(chan struct{})}
	l.waiters = append(l.waiters, w)
	l.wake()
	return w.done
}

// wake tells those who wait that a call or task has ended. It is called with the link
// locked.
func (l *link) wake() {
	l.waiters = slices.DeleteFunc(l.waiters, func(w waiter) bool {
		if l.busy(w.last) {
			return false
		}
		close(w.done)
		return true
	})
}

func (l *link) busy(last int64) bool {
	if l.retired && len(l.tasks) > 0 {
		return true
	}
	for id, up := range l.calls {
		if up.clients && id <= last {
			return true
		}
	}
	return false
}

// drop takes a call out of those under way. It is called with the link locked.
func (l *link) drop(id int64) {
	delete(l.calls, id)
	l.wake()
}

// noteTask remembers that a call became a task, which lives in the server that made it. It
// must be known before the call has ended, since the link may wait for no more than that, and
// before the server's next message, which may speak of it.
func (l *link) noteTask(up *upcall, m *jsonrpc.Message) {
	x := up.client.Load()
	if x == nil || up.method != "tools/call" || m.Kind != jsonrpc.Result || !l.modern && !x.param("task").Present() {
		return
	}
	var id string
	if !l.modern {
		id, _ = jsonrpc.GetString(m.At(m.Result), "task", "taskId")
	} else if kind, _ := jsonrpc.GetString(m.At(m.Result), "resultType"); kind == "task" {
		id, _ = jsonrpc.GetString(m.At(m.Result), "taskId")
	}
	if id == "" {
		return
	}
	if c := x.via.Load(); c != nil && !c.judged() {
		x.s.sealTask(taskRef{Server: l.conn.name, Tool: c.exposed, Definition: c.digest[:], ID: id})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tasks == nil || len(l.tasks) >= maxTasks {
		l.tasks = map[string]struct{}{}
	}
	l.tasks[id] = struct{}{}
}

// dropTask forgets a task whose result is out.
func (l *link) dropTask(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tasks, id)
	l.wake()
}

// replaced reports whether another link has taken this one's place.
func (l *link) replaced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.retired
}

func (l *link) hasTask(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, has := l.tasks[id]
	return has
}

func (l *link) ended() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// changed returns the kinds of lists in which c has other definitions than old.
func (c *catalog) changed(old *catalog) []string {
	lists := func(c *catalog) map[string][]item {
		c.mu.Lock()
		defer c.mu.Unlock()
		all := map[string][]item{}
		for method, items := range c.lists {
			all[method] = items
		}
		return all
	}
	now, before := lists(c), lists(old)
	var kinds []string
	for _, k := range listKinds {
		same := slices.EqualFunc(now[k.method], before[k.method], func(a, b item) bool { return bytes.Equal(a.raw, b.raw) })
		if !same && !slices.Contains(kinds, k.capability) {
			kinds = append(kinds, k.capability)
		}
	}
	return kinds
}
