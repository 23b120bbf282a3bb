package proxy

import (
	"context"
	"errors"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// This file is about the tasks of protocol 2025-11-25 that a client makes of the questions
// of servers. The client takes all servers for one, so what keeps one server from the
// answers to another is the ids: each server has ids of the firewall's that are good for it
// alone.

// clientTasks are the tasks that the client made of one server's questions.
type clientTasks struct {
	theirs map[string]string // the client's ids, by those that the server has
	ours   map[string]string // the other way round
}

// noteAsked returns the id that the server is to have for a task of the client's.
func (f *fleet) noteAsked(server, theirs string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.asked[server]
	if t == nil || len(t.theirs) >= maxTasks {
		t = &clientTasks{theirs: map[string]string{}, ours: map[string]string{}}
		if f.asked == nil {
			f.asked = map[string]*clientTasks{}
		}
		f.asked[server] = t
	}
	if id, known := t.ours[theirs]; known {
		return id
	}
	id := newID()
	t.theirs[id], t.ours[theirs] = theirs, id
	return id
}

// askedID returns the client's id of a task by the id that the server has.
func (f *fleet) askedID(server, ours string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.asked[server]
	if t == nil {
		return "", false
	}
	id, ok := t.theirs[ours]
	return id, ok
}

// toldID returns the id that the server has for a task of the client's, if it is of a
// question of the server's.
func (f *fleet) toldID(server, theirs string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.asked[server]
	if t == nil {
		return "", false
	}
	id, ok := t.ours[theirs]
	return id, ok
}

// mayTask reports whether the client may make a task of the server's request: on a
// connection of one session's only, which leaves no doubt whose it is.
func (q *serverRequest) mayTask() bool {
	return q.link.conn.fleet.owner && len(jsonrpc.Get(q.link.caps, "tasks")) > 0
}

// clientTask is a server's request about the tasks that the client made of its questions.
func (q *serverRequest) clientTask() {
	if !q.mayTask() {
		q.refuse(jsonrpc.CodeMethodNotFound, "Method not found")
		return
	}
	c := q.link.conn
	for _, s := range q.link.audience() {
		s.mu.Lock()
		on := s.general
		s.mu.Unlock()
		if on == nil {
			continue
		}
		params := q.m.At(q.m.Params)
		ours, _ := jsonrpc.GetString(params, "taskId")
		theirs, known := c.fleet.askedID(c.name, ours)
		switch {
		case q.m.Method == "tasks/list" && !c.fleet.hasAsked(c.name):
			q.link.later(jsonrpc.NewResult(q.m.At(q.m.ID), []byte(`{"tasks":[]}`)))
			return
		case q.m.Method != "tasks/list" && !known:
			c.recordQuestion(s, q.m.Method, errors.New("the client made no such task of a question of this server's"))
			q.refuse(jsonrpc.CodeInvalidParams, "Unknown task")
			return
		}
		if q.link.asking.Add(1) > maxAsking {
			q.link.asking.Add(-1)
			q.refuse(jsonrpc.CodeInternal, "too many requests are waiting for the client")
			return
		}
		c.recordQuestion(s, q.m.Method, nil)
		ctx, cancel := context.WithTimeout(c.ctx, stateTTL)
		go func() {
			defer cancel()
			defer q.link.asking.Add(-1)
			if q.m.Method == "tasks/list" {
				q.reply(s, q.listAsked(ctx, s, on), nil)
				return
			}
			params := jsonrpc.SetMember(params, "taskId", jsonrpc.Quote(theirs))
			result, failed := s.ask(ctx, on, q.m.Method, params, &pending{link: q.link, serverID: q.m.IDKey()})
			if q.m.Method != "tasks/result" && len(result) > 0 {
				result = jsonrpc.SetMember(result, "taskId", jsonrpc.Quote(ours))
			}
			q.reply(s, result, failed)
		}()
		return
	}
	q.refuse(jsonrpc.CodeInternal, "the client is not there")
}

func (f *fleet) hasAsked(server string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[server] != nil
}

// maxAskedPages bounds the pages of the client's list of tasks.
const maxAskedPages = 50

// listAsked returns the result that lists those of the client's tasks that are of the
// server's questions.
func (q *serverRequest) listAsked(ctx context.Context, s *Session, on Stream) []byte {
	list := []byte(`{"tasks":[`)
	n := 0
	var params []byte
	for range maxAskedPages {
		result, _ := s.ask(ctx, on, q.m.Method, params, &pending{link: q.link, serverID: q.m.IDKey()})
		for el := range jsonrpc.Elements(result, jsonrpc.Find(result, jsonrpc.Span{End: len(result)}, "tasks")) {
			theirs, _ := jsonrpc.GetString(result[el.Start:el.End], "taskId")
			ours, known := q.link.conn.fleet.toldID(q.link.conn.name, theirs)
			if !known || taskNames.Clash(result, el) != "" {
				continue
			}
			if n++; n > 1 {
				list = append(list, ',')
			}
			list = append(list, jsonrpc.SetMember(bare(result[el.Start:el.End:el.End]), "taskId", jsonrpc.Quote(ours))...)
		}
		next := jsonrpc.Get(result, "nextCursor")
		if len(next) == 0 || next[0] != '"' {
			break
		}
		params = append(append([]byte(`{"cursor":`), next...), '}')
	}
	return append(list, "]}"...)
}
