package proxy

import (
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// Tasks come in two forms: that of protocol 2025-11-25, where the client asks for a task,
// and the extension io.modelcontextprotocol/tasks of the modern era, where the server
// decides. In both, the task ids that clients see are the firewall's own.

// taskTTL bounds how long a task id is good.
const taskTTL = 24 * time.Hour

// maxTasks bounds the ids that one session remembers.
const maxTasks = 10000

// taskRef is what a task id of the firewall stands for.
type taskRef struct {
	Server string `json:"s"`
	Tool   string `json:"t"` // its exposed name
	ID     string `json:"i"` // the server's own task id
}

func (s *Session) taskBinding() string {
	if s.single {
		return s.peer.Principal
	}
	return s.peer.Principal + "\x00" + s.id
}

// sealTask returns the id that the client knows a task by.
func (s *Session) sealTask(ref taskRef) (string, error) {
	key := ref.Server + "\x00" + ref.ID
	f := s.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if id, ok := f.tasks[key]; ok {
		return id, nil
	}
	payload, err := json.Marshal(ref)
	if err != nil {
		return "", err
	}
	id := s.relay.box.Seal("task", s.taskBinding(), payload, taskTTL)
	if f.tasks == nil || len(f.tasks) >= maxTasks {
		f.tasks = map[string]string{}
	}
	f.tasks[key] = id
	return id, nil
}

func (s *Session) openTask(id string) (taskRef, error) {
	var ref taskRef
	payload, err := s.relay.box.Open("task", s.taskBinding(), id)
	if err != nil {
		return ref, err
	}
	return ref, json.Unmarshal(payload, &ref)
}

// created passes on the result that says that a call became a task.
func (x *Exchange) created(k *call, m *jsonrpc.Message) answer {
	path := []string{"task", "taskId"}
	if k.link.modern {
		if !x.modern || len(jsonrpc.Get(x.identity.caps, "extensions", extensionTasks)) == 0 {
			return k.failure("the server made a task of the call, which the client does not support", nil)
		}
		path = path[1:]
	}
	span := jsonrpc.Find(m.Raw, m.Result, path...)
	id, err := x.s.sealTask(taskRef{Server: k.c.conn.name, Tool: k.c.exposed, ID: jsonrpc.String(m.At(span))})
	if err != nil || !span.Present() {
		return k.failure("the server made a task of the call but gave it no usable id", nil)
	}
	edits := append([]jsonrpc.Edit{{Span: span, New: jsonrpc.Quote(id)}}, x.relatedTask(k.c, m)...)
	return x.relayResult(m, k.link, edits...)
}

// relatedTask returns the edit that puts the client's id of a task in place of the
// server's in a result's _meta.
func (x *Exchange) relatedTask(c *capability, m *jsonrpc.Message) []jsonrpc.Edit {
	span := jsonrpc.Find(m.Raw, m.Result, "_meta", metaRelatedTask, "taskId")
	if !span.Present() {
		return nil
	}
	id, err := x.s.sealTask(taskRef{Server: c.conn.name, Tool: c.exposed, ID: jsonrpc.String(m.At(span))})
	if err != nil {
		return nil
	}
	return []jsonrpc.Edit{{Span: span, New: jsonrpc.Quote(id)}}
}

// task serves the methods that concern one task: the server's answer takes the same path
// as the result of the call that the task came from.
func (x *Exchange) task() answer {
	id, ok := x.text("taskId")
	if !ok {
		return x.fail(jsonrpc.CodeInvalidParams, "taskId is missing or not a string", nil)
	}
	ref, err := x.s.openTask(id)
	if err != nil {
		return x.fail(jsonrpc.CodeInvalidParams, "Unknown task: "+err.Error(), nil)
	}
	k := &call{x: x, target: x.m.Method, shown: x.m.At(x.m.Params), began: time.Now(), lookup: func(v *view) *capability {
		if c := v.tools[ref.Tool]; c != nil && c.conn.name == ref.Server {
			return c
		}
		return nil
	}}
	if err := k.find(); err != nil {
		return x.failErr(err)
	}
	if k.c == nil {
		return x.fail(jsonrpc.CodeInvalidParams, "Unknown task: the tool that it came from is not available", nil)
	}
	if x.modern != k.link.modern {
		return x.fail(jsonrpc.CodeMethodNotFound, "Method not found: the server has no tasks of this protocol version", nil)
	}
	if err := k.intend(); err != nil {
		return x.failErr(err)
	}
	up := k.link.prepare(x.m.Method, x)
	edits := []jsonrpc.Edit{{Span: x.m.ID, New: upID(up)}, {Span: x.param("taskId"), New: jsonrpc.Quote(ref.ID)}}
	if e, ok := x.metaEdit(k.link, upID(up)); ok {
		edits = append(edits, e)
	}
	k.link.launch(up, x.m.Splice(edits...), nil)
	m, _, err := k.await(up)
	if err != nil {
		return k.outcome(x.fail(jsonrpc.CodeInternal, x.s.relay.redact.Text(err.Error()), nil), 0, err)
	}
	if m.Kind == jsonrpc.Failure {
		return k.outcome(x.relayError(m, k.link), len(m.Raw), nil)
	}
	a, err := x.taskResult(k, m, id)
	if err != nil {
		a = x.failErr(err)
	}
	return k.outcome(a, len(m.Raw), err)
}

// taskResult passes on what a server says of a task.
func (x *Exchange) taskResult(k *call, m *jsonrpc.Message, id string) (answer, error) {
	edits := x.relatedTask(k.c, m)
	if span := jsonrpc.Find(m.Raw, m.Result, "taskId"); span.Present() {
		edits = append(edits, jsonrpc.Edit{Span: span, New: jsonrpc.Quote(id)})
	}
	final := m.At(m.Result)
	if x.m.Method == "tasks/get" {
		final = jsonrpc.Get(final, "result")
	}
	if len(final) > 0 && (x.m.Method == "tasks/get" || x.m.Method == "tasks/result") {
		if err := k.c.checkOutput(final); err != nil {
			return answer{}, err
		}
	}
	if span := jsonrpc.Find(m.Raw, m.Result, "inputRequests"); span.Present() {
		requests := []byte("{}")
		for name, value := range jsonrpc.Members(m.Raw, span) {
			request := m.At(value)
			method, _ := jsonrpc.GetString(request, "method")
			params, err := k.c.conn.vet(method, jsonrpc.Get(request, "params"))
			if err != nil {
				return answer{}, err
			}
			if !can(x.identity.caps, method, params) {
				return answer{}, errors.New("the task asks for what the client does not support")
			}
			if params != nil {
				request = jsonrpc.SetMember(request, "params", params)
			}
			requests = jsonrpc.SetMember(requests, jsonrpc.String(m.At(name)), request)
		}
		edits = append(edits, jsonrpc.Edit{Span: span, New: requests})
	}
	return x.relayResult(m, k.link, edits...), nil
}

// listTasks merges the tasks of the legacy servers.
func (x *Exchange) listTasks() answer {
	var tasks []string
	for _, l := range x.s.fleet.links() {
		if l.modern || !l.has("tasks", "list") || !l.conn.fleet.owner {
			continue
		}
		var params []byte
		for range maxPages {
			m, err := l.request("tasks/list", params)
			if err != nil || m.Kind == jsonrpc.Failure {
				break
			}
			for el := range jsonrpc.Elements(m.Raw, jsonrpc.Find(m.Raw, m.Result, "tasks")) {
				task := m.At(el)
				upstream, _ := jsonrpc.GetString(task, "taskId")
				x.s.fleet.mu.Lock()
				id, known := x.s.fleet.tasks[l.conn.name+"\x00"+upstream]
				x.s.fleet.mu.Unlock()
				if known { // a task that was not made through this session is none of its business
					tasks = append(tasks, string(jsonrpc.SetMember(task, "taskId", jsonrpc.Quote(id))))
				}
			}
			next := jsonrpc.Get(m.At(m.Result), "nextCursor")
			if len(next) == 0 || next[0] != '"' {
				break
			}
			params = append(append([]byte(`{"cursor":`), next...), '}')
		}
	}
	return x.result([]byte(`{"tasks":[` + strings.Join(tasks, ",") + `]}`))
}

// taskStatus passes a task's change on to the client that knows it.
func (l *link) taskStatus(m *jsonrpc.Message, _ *upcall) {
	span := jsonrpc.Find(m.Raw, m.Params, "taskId")
	key := l.conn.name + "\x00" + jsonrpc.String(m.At(span))
	for _, s := range l.audience() {
		s.fleet.mu.Lock()
		id, ok := s.fleet.tasks[key]
		s.fleet.mu.Unlock()
		if !ok {
			continue
		}
		clean, err := jsonrpc.Parse(m.Splice(jsonrpc.Edit{Span: span, New: jsonrpc.Quote(id)}), l.limits())
		if err != nil {
			continue
		}
		raw := l.withoutSubscription(clean)
		if m.Method == "notifications/tasks/status" {
			s.tell(raw)
			continue
		}
		for _, ls := range s.listening() {
			if _, asked := ls.tasks[id]; asked {
				ls.send(raw)
			}
		}
	}
}

// wantedTasks returns the quoted ids of the tasks that clients listen to at this server.
func (l *link) wantedTasks() []string {
	var ids []string
	for _, s := range l.audience() {
		for _, ls := range s.listening() {
			for _, ref := range ls.tasks {
				if ref.Server == l.conn.name {
					ids = append(ids, string(jsonrpc.Quote(ref.ID)))
				}
			}
		}
	}
	return ids
}

// clientTask is a server's request about a task that the client made of a request of the
// server's. Only a connection of one session's leaves no doubt whose it is.
func (q *serverRequest) clientTask() {
	if !q.link.conn.fleet.owner || len(jsonrpc.Get(q.link.caps, "tasks")) == 0 {
		q.refuse(jsonrpc.CodeMethodNotFound, "Method not found")
		return
	}
	for _, s := range q.link.audience() {
		s.mu.Lock()
		on := s.general
		s.mu.Unlock()
		if on == nil {
			continue
		}
		go func() {
			q.answer(s.ask(q.link.conn.ctx, on, q.m.Method, q.m.At(q.m.Params), &pending{link: q.link, serverID: q.m.IDKey()}))
		}()
		return
	}
	q.refuse(jsonrpc.CodeInternal, "the client is not there")
}
