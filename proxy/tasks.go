package proxy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// Tasks come in two forms: that of protocol 2025-11-25, where the client asks for a task,
// and the extension io.modelcontextprotocol/tasks of the modern era, where the server
// decides. In both, the task ids that clients see are the firewall's own.

// taskTTL bounds how long a task id is good.
const taskTTL = 24 * time.Hour

// maxTasks bounds the task ids, and the questions of tasks, that one session remembers.
const maxTasks = 10000

// taskRef is what a task id of the firewall stands for.
type taskRef struct {
	Server     string `json:"s"`
	Tool       string `json:"t"` // its exposed name
	Definition []byte `json:"d"` // digest of the tool's, when it was called
	ID         string `json:"i"` // the server's own task id
}

func (s *Session) taskBinding() string {
	if s.single {
		return s.peer.Principal
	}
	return s.peer.Principal + "\x00" + s.id
}

// sealTask makes the id that the client is to know a task by.
func (s *Session) sealTask(ref taskRef) {
	payload, err := json.Marshal(ref)
	if err != nil {
		s.relay.log.Error().Err(err).Msg("task without an id for the client")
		return
	}
	f := s.conns()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noteTask(taskKey(ref.Server, ref.ID), s.relay.box.Seal("task", s.taskBinding(), payload, taskTTL))
}

// taskKey is what the fleet remembers a task by: its server and the server's id; with the
// key of a question, it stands for the task having asked the client that.
func taskKey(parts ...string) string { return strings.Join(parts, "\x00") }

// noteTask is called with the fleet locked.
func (f *fleet) noteTask(key, id string) {
	if _, known := f.tasks[key]; f.tasks == nil || !known && len(f.tasks) >= maxTasks {
		f.tasks = map[string]string{}
	}
	f.tasks[key] = id
}

// taskID returns the id that the client knows the server's task by, if it knows it.
func (s *Session) taskID(server, id string) (string, bool) {
	f := s.conns()
	if f == nil {
		return "", false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.tasks[taskKey(server, id)]
	return known, ok
}

// taskAsked notes which questions of a task the client is shown.
func (s *Session) taskAsked(ref taskRef, id string, keys []string) {
	f := s.conns()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		f.noteTask(taskKey(ref.Server, ref.ID, key), id)
	}
}

// answersTask reports whether inputResponses, an object, answers only what the client was
// shown of the task.
func (s *Session) answersTask(ref taskRef, responses []byte) bool {
	if len(responses) == 0 || responses[0] != '{' {
		return false
	}
	f := s.conns()
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range jsonrpc.Members(responses, jsonrpc.Span{End: len(responses)}) {
		if _, asked := f.tasks[taskKey(ref.Server, ref.ID, jsonrpc.String(responses[name.Start:name.End]))]; !asked {
			return false
		}
	}
	return true
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
	if k.c.judged() {
		return k.failure("the server made a task of the call, but results of this tool are judged before they are passed on, so the task was left alone", nil)
	}
	path := []string{"task", "taskId"}
	if k.link.modern {
		if !x.modern || len(jsonrpc.Get(x.identity.caps, "extensions", extensionTasks)) == 0 {
			return k.failure("the server made a task of the call, which the client does not support", nil)
		}
		path = path[1:]
	}
	span := jsonrpc.Find(m.Raw, m.Result, path...)
	ref := taskRef{Server: k.c.conn.name, ID: jsonrpc.String(m.At(span))}
	id, ok := x.s.taskID(ref.Server, ref.ID) // see noteTask
	if !ok || ref.ID == "" {
		return k.failure("the server made a task of the call but gave it no usable id", nil)
	}
	vetted, keys, err := k.c.vetTask(x.identity.caps, m.Raw, jsonrpc.Find(m.Raw, m.Result, path[:len(path)-1]...))
	if err != nil {
		return k.failure("the server made a task of the call that was not passed on: "+err.Error(), nil)
	}
	x.s.taskAsked(ref, id, keys)
	if object := jsonrpc.Find(m.Raw, m.Result, path[:len(path)-1]...); object.Present() {
		x.s.observeTask(k.c, m.At(object))
	}
	return x.relayResult(m, k.link, append(vetted, jsonrpc.Edit{Span: span, New: jsonrpc.Quote(id)})...)
}

// task serves the methods that concern one task: the server's answer takes the same path
// as the result of the call that the task came from.
func (x *Exchange) task() answer {
	id, ok := x.text("taskId")
	if !ok {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "taskId is missing or not a string")
	}
	ref, err := x.s.openTask(id)
	if err != nil {
		return x.refuse(jsonrpc.CodeInvalidParams, stateRule, "Unknown task: "+err.Error())
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
		return x.refuse(jsonrpc.CodeInvalidParams, stateRule, "Unknown task: the tool that it came from is not available")
	}
	if x.modern != k.link.modern {
		return x.fail(jsonrpc.CodeMethodNotFound, "Method not found: the server has no tasks of this protocol version", nil)
	}
	if x.m.Method != "tasks/cancel" && string(k.c.digest[:]) != string(ref.Definition) {
		return k.refuse(rules.Deny, "definition", "The tool's definition changed since it made the task, so nothing of the task is passed on. Look at the list again.")
	}
	if x.m.Method != "tasks/cancel" && k.c.judged() { // the policy is new
		return k.refuse(rules.Deny, "result", "Results of this tool are judged before they are passed on, which those of tasks are not: call it without a task.")
	}
	if x.m.Method == "tasks/update" && !x.s.answersTask(ref, x.m.At(x.param("inputResponses"))) {
		return x.refuse(jsonrpc.CodeInvalidParams, stateRule, "inputResponses is no object, or holds an answer to a question that the task did not ask: tasks/get shows what it asks")
	}
	if err := k.intend(); err != nil {
		return x.failErr(err)
	}
	if l := k.c.conn.holder(ref.ID); l != nil {
		k.link = l
	}
	up := k.link.prepare(x.m.Method, x, ref.ID)
	if up == nil {
		return k.outcome(x.fail(jsonrpc.CodeInternal, "the server was just started anew: try again", nil), 0, nil)
	}
	edits := []jsonrpc.Edit{{Span: x.m.ID, New: upID(up)}, {Span: x.param("taskId"), New: jsonrpc.Quote(ref.ID)}}
	if e, ok := x.metaEdit(k.link, upID(up)); ok {
		edits = append(edits, e)
	}
	if span := x.param("inputResponses"); span.Present() {
		edits = append(edits, jsonrpc.Edit{Span: span, New: x.s.replies(k.c.conn, x.m.At(span))})
	}
	x.via.Store(k.c)
	k.link.launch(up, x.m.Splice(edits...), nil)
	m, _, err := k.await(up)
	if err != nil {
		return k.outcome(x.fail(jsonrpc.CodeInternal, x.s.relay.redact.Text(told(err)), nil), 0, err)
	}
	if m.Kind == jsonrpc.Failure {
		x.s.observeAside(k.c, m.At(m.Error))
		return k.outcome(x.relayError(m, k.link), len(m.Raw), nil)
	}
	if status, _ := jsonrpc.GetString(m.At(m.Result), "status"); x.m.Method == "tasks/result" || x.m.Method == "tasks/cancel" || x.modern && ended[status] {
		k.link.dropTask(ref.ID)
	}
	if _, err := k.link.resultType(m); err != nil {
		return k.outcome(x.failErr(err), len(m.Raw), nil)
	}
	a, err := x.taskResult(k, m, ref, id)
	if err != nil {
		a = x.failErr(err)
	}
	return k.outcome(a, len(m.Raw), err)
}

// taskResult passes on what a server says of a task.
func (x *Exchange) taskResult(k *call, m *jsonrpc.Message, ref taskRef, id string) (answer, error) {
	var edits []jsonrpc.Edit
	if span := jsonrpc.Find(m.Raw, m.Result, "taskId"); span.Present() {
		edits = append(edits, jsonrpc.Edit{Span: span, New: jsonrpc.Quote(id)})
	}
	if x.m.Method == "tasks/result" {
		if err := k.c.checkOutput(m.At(m.Result)); err != nil {
			return answer{}, err
		}
		x.s.observe(k.c, m.At(m.Result))
		return x.relayResult(m, k.link, edits...), nil
	}
	vetted, keys, err := k.c.vetTask(x.identity.caps, m.Raw, m.Result)
	if err != nil {
		return answer{}, err
	}
	x.s.taskAsked(ref, id, keys)
	x.s.observeTask(k.c, m.At(m.Result))
	return x.relayResult(m, k.link, append(edits, vetted...)...), nil
}

// ended are the states in which a modern task carries its result (extension tasks, "Task
// Status").
var ended = map[string]bool{"completed": true, "failed": true, "cancelled": true}

// vetTask judges what the task object at s carries beside its status: what it asks of a
// client with these capabilities, its result and its error. It returns the edits that
// make of raw what the client is to see, and the keys of what is asked.
func (c *capability) vetTask(caps, raw []byte, s jsonrpc.Span) (edits []jsonrpc.Edit, keys []string, err error) {
	member := func(name string) (jsonrpc.Span, bool) {
		span := jsonrpc.Find(raw, s, name)
		return span, span.Present() && string(raw[span.Start:span.End]) != "null"
	}
	if span, ok := member("result"); ok {
		if raw[span.Start] != '{' || resultClash(raw, span) != "" {
			return nil, nil, errors.New("the task's result was withheld: it is not an object, or a name in it equals a known one but for upper and lower case")
		}
		if err := c.checkOutput(raw[span.Start:span.End]); err != nil {
			return nil, nil, err
		}
		edits = append(edits, jsonrpc.Edit{Span: span, New: unasked(raw[span.Start:span.End:span.End])})
	}
	if span, ok := member("error"); ok {
		code, err := errorCode(raw, span)
		if err == nil && code == jsonrpc.CodeURLElicitation {
			err = errors.New("it asks for a URL to be opened, which tasks do by inputRequests")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("the task's error was withheld: %w", err)
		}
	}
	span, ok := member("inputRequests")
	if !ok {
		return edits, nil, nil
	}
	requests, keys, err := c.conn.vetRequests(caps, raw, span)
	if err != nil {
		return nil, nil, err
	}
	return append(edits, jsonrpc.Edit{Span: span, New: requests}), keys, nil
}

// unasked returns a result without questions: those of a task stand beside its result.
func unasked(result []byte) []byte {
	return jsonrpc.DropMembers(result, func(n string) bool { return n == "inputRequests" || n == "requestState" })
}

// bare returns a task object without all that vetTask judges, and without a state of the
// server's, which tasks have no use for.
func bare(task []byte) []byte {
	return jsonrpc.DropMembers(task, func(n string) bool {
		return n == "inputRequests" || n == "result" || n == "error" || n == "requestState"
	})
}

// listTasks merges the tasks of the legacy servers.
func (x *Exchange) listTasks() answer {
	var tasks []string
	for _, l := range x.s.conns().links() {
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
				id, known := x.s.taskID(l.conn.name, upstream)
				if ref, err := x.s.openTask(id); err == nil {
					x.s.observeTask(x.s.conns().view().tools[ref.Tool], bare(task))
				}
				if known && taskNames.Clash(m.Raw, el) == "" { // a task that was not made through this session is none of its business
					tasks = append(tasks, string(jsonrpc.SetMember(bare(task), "taskId", jsonrpc.Quote(id))))
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
	upstream := jsonrpc.String(jsonrpc.Get(m.At(m.Params), "taskId"))
	for _, s := range l.audience() {
		id, ok := s.taskID(l.conn.name, upstream)
		if !ok {
			continue
		}
		params := jsonrpc.SetMember(m.At(m.Params), "taskId", jsonrpc.Quote(id))
		if meta := jsonrpc.Get(params, "_meta"); len(meta) > 0 {
			params = jsonrpc.SetMember(params, "_meta", jsonrpc.DropMembers(meta, func(n string) bool { return n == metaSubscription }))
		}
		if m.Method == "notifications/tasks/status" {
			if ref, err := s.openTask(id); err == nil {
				s.observeTask(s.conns().view().tools[ref.Tool], bare(params))
			}
			s.tell(jsonrpc.NewNotification(m.Method, bare(params)))
			continue
		}
		for _, ls := range s.listening() {
			if ref, asked := ls.tasks[id]; asked {
				ls.send(jsonrpc.NewNotification(m.Method, l.taskNews(s, ls, ref, id, params)))
			}
		}
	}
}

// taskNews returns the params of a task's change as a listening client is to see them.
// What does not stand the test that tasks/get makes is left out, so that the client asks
// with tasks/get and is told why.
func (l *link) taskNews(s *Session, ls *listener, ref taskRef, id string, params []byte) []byte {
	c := s.conns().view().tools[ref.Tool]
	if c == nil || c.conn != l.conn || l.catalog.stale() || c.judged() {
		return bare(params)
	}
	edits, keys, err := c.vetTask(ls.x.identity.caps, params, jsonrpc.Span{End: len(params)})
	if err != nil {
		return bare(params)
	}
	s.taskAsked(ref, id, keys)
	s.observeTask(c, params)
	return jsonrpc.DropMembers(jsonrpc.Splice(params, edits...), func(n string) bool { return n == "requestState" })
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
