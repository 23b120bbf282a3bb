package proxy

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/redact"
)

const taskingClient = `{"elicitation":{},"tasks":{"list":{},"cancel":{},"requests":{"elicitation":{"create":{}}}}}`

// parsed parses a message of the test's.
func parsed(t *testing.T, raw string) *jsonrpc.Message {
	t.Helper()
	m, err := jsonrpc.Parse([]byte(raw), jsonrpc.Limits{})
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return m
}

// answer waits for a request to the client that holds the text, and gives its answer.
func (c *testClient) answer(t *testing.T, text, result string) string {
	t.Helper()
	question := c.await(text)
	m := parsed(t, question)
	c.send(`{"jsonrpc":"2.0","id":` + string(m.At(m.ID)) + `,"result":` + result + `}`)
	return question
}

// taskOf returns the id of the task that a legacy result says was made.
func taskOf(t *testing.T, response string) string {
	t.Helper()
	id, ok := jsonrpc.GetString([]byte(response), "result", "task", "taskId")
	if !ok {
		t.Fatalf("no task in %s", response)
	}
	return id
}

// askTask has the server ask something that the client makes the task theirs of, and
// returns the id that the server is told.
func (f *fakeServer) askTask(t *testing.T, c *testClient, server *fakeConn, theirs string) string {
	t.Helper()
	server.Send(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"Where to?","requestedSchema":{"type":"object","properties":{"x":{"type":"string"}}},"task":{"ttl":60000}}}`)
	mustContain(t, c.answer(t, "Where to?", `{"task":{"taskId":"`+theirs+`","status":"working"}}`), `"task":{"ttl":60000}`)
	got := f.await(t, `"id":"q"`)
	mustLack(t, got, theirs)
	return taskOf(t, got)
}

// TestClientTasksOfTwoServers holds that a server gets the answers to its own questions by
// their tasks, and to no other server's.
func TestClientTasksOfTwoServers(t *testing.T) {
	a, b := newFake(t, "a", false), newFake(t, "b", false)
	r, records := redacting(t, redact.Options{}, nil, nil, a, b)
	c := newClient(t, r).legacy(taskingClient)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	serverA, serverB := <-a.conns, <-b.conns
	id := b.askTask(t, c, serverB, "client-1")

	for _, taken := range []string{id, "client-1"} {
		for _, method := range []string{"tasks/get", "tasks/result", "tasks/cancel"} {
			serverA.Send(`{"jsonrpc":"2.0","id":"steal","method":"` + method + `","params":{"taskId":"` + taken + `"}}`)
			mustContain(t, a.await(t, `"steal"`), "Unknown task")
		}
	}
	serverB.Send(`{"jsonrpc":"2.0","id":"raw","method":"tasks/result","params":{"taskId":"client-1"}}`)
	mustContain(t, b.await(t, `"raw"`), "Unknown task")
	serverA.Send(`{"jsonrpc":"2.0","id":"list","method":"tasks/list"}`)
	mustContain(t, a.await(t, `"list"`), `"tasks":[]`)
	other := a.askTask(t, c, serverA, "client-2")

	const list = `{"tasks":[{"taskId":"client-1","status":"completed"},{"taskId":"client-2","status":"working"},{"taskId":"client-3","status":"working"}]}`
	serverB.Send(`{"jsonrpc":"2.0","id":"list","method":"tasks/list"}`)
	c.answer(t, "tasks/list", list)
	got := b.await(t, `"list"`)
	mustContain(t, got, `"tasks":[{"taskId":"`+id+`","status":"completed"}]`)
	mustLack(t, got, "client-", other)

	serverB.Send(`{"jsonrpc":"2.0","id":"get","method":"tasks/get","params":{"taskId":"` + id + `"}}`)
	mustContain(t, c.answer(t, "tasks/get", `{"taskId":"client-1","status":"completed"}`), `"taskId":"client-1"`)
	mustContain(t, b.await(t, `"get"`), `{"taskId":"`+id+`","status":"completed"}`)

	serverB.Send(`{"jsonrpc":"2.0","id":"result","method":"tasks/result","params":{"taskId":"` + id + `"}}`)
	mustContain(t, c.answer(t, "tasks/result", `{"action":"accept","content":{"x":"5 Private Street"},"_meta":{"`+metaRelatedTask+`":{"taskId":"client-1"}}}`), `"taskId":"client-1"`)
	mustContain(t, b.await(t, `"result"`), "5 Private Street", `"`+metaRelatedTask+`":{"taskId":"`+id+`"}`)

	text, err := os.ReadFile(records)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, string(text), `"method":"tasks/result"`, "the client made no such task")
}

// TestTasksNobodyAskedFor holds that a client makes no task of a request that the server did
// not want one of, or that the firewall could not tell whose it is.
func TestTasksNobodyAskedFor(t *testing.T) {
	f := newFake(t, "one", false)
	c := newClient(t, testRelay(t, nil, f)).legacy(taskingClient)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	(<-f.conns).Send(`{"jsonrpc":"2.0","id":"q",` + ask[1:])
	c.answer(t, "Which colour?", `{"task":{"taskId":"client-1","status":"working"}}`)
	got := f.await(t, `"id":"q"`)
	mustContain(t, got, "nobody asked for")
	mustLack(t, got, "client-1")

	// The server was not told that the client can.
	f = newFake(t, "one", false)
	c = newClient(t, testRelay(t, nil, f)).legacy(everyCap)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	(<-f.conns).Send(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}},"task":{"ttl":1}}}`)
	mustLack(t, c.answer(t, "elicitation/create", `{"action":"decline"}`), `"task"`)
}

// TestClientTask: a server's requests about the client's tasks are bounded.
func TestClientTask(t *testing.T) {
	f := newFake(t, "one", false)
	c := newClient(t, testRelay(t, nil, f)).legacy(taskingClient)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	server := <-f.conns
	id := f.askTask(t, c, server, "client-1")
	get := func(as string) string {
		return `{"jsonrpc":"2.0","id":"` + as + `","method":"tasks/get","params":{"taskId":"` + id + `"}}`
	}
	waitFor(t, "room for all", func() bool { return c.s.fleet.links()[0].asking.Load() == 0 })
	for i := range maxAsking {
		server.Send(get(fmt.Sprintf("a%d", i)))
	}
	server.Send(get("over"))
	mustContain(t, f.await(t, `"over"`), "too many requests")
	c.answer(t, "tasks/get", `{"taskId":"client-1","status":"completed"}`)
	f.await(t, `"status":"completed"`)
	for range maxAsking - 1 {
		c.await("tasks/get")
	}
	for { // the one answered makes room for one, once its answer is on its way
		server.Send(get("again"))
		select {
		case <-c.msgs:
			return
		case refusal := <-f.seen:
			mustContain(t, refusal, "too many requests")
		}
	}
}

// TestRelatedTasks holds that a message names the task that it belongs to by an id that its
// reader has, or not at all.
func TestRelatedTasks(t *testing.T) {
	related := func(id string) string { return `"_meta":{"` + metaRelatedTask + `":{"taskId":"` + id + `"}}` }
	f := newFake(t, "one", false)
	f.caps = `{"tools":{},"logging":{},"tasks":{"list":{},"requests":{"tools":{"call":{}}}}}`
	f.answers["tasks/result"] = `{"content":[],` + related("RAW") + `}`
	f.answers["tasks/get"] = `{"jsonrpc":"2.0","id":$ID,"error":{"code":-1,"message":"no","data":{` + related("RAW") + `,"more":[{` + related("UNKNOWN") + `}]}}}`
	f.handle = func(fc *fakeConn, m *jsonrpc.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		id := string(m.At(m.ID))
		if jsonrpc.Find(m.Raw, m.Params, "task").Present() {
			// What comes right behind may speak of the task already.
			fc.Send(`{"jsonrpc":"2.0","id":`+id+`,"result":{"task":{"taskId":"RAW","status":"working"},`+related("RAW")+`}}`,
				`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"first",`+related("RAW")+`}}`)
			return true
		}
		fc.Send(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`+id+`,"progress":1,`+related("RAW")+`}}`,
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`+id+`,"progress":2,`+strings.Replace(related("UNKNOWN"), "related", `\u0072elated`, 1)+`}}`,
			`{"jsonrpc":"2.0","id":`+id+`,"result":{"content":[],`+related("RAW")+`}}`)
		return true
	}
	c := newClient(t, testRelay(t, nil, f)).legacy(taskingClient)
	got := c.send(`{"jsonrpc":"2.0","id":"t","method":"tools/call","params":{"name":"echo","arguments":{},"task":{}}}`)
	id := taskOf(t, got)
	mustContain(t, got, related(id))
	mustContain(t, c.await(`"first"`), related(id))
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":"r","method":"tools/call","params":{"name":"echo","arguments":{},"_meta":{"progressToken":7,"`+metaRelatedTask+`":{"taskId":"`+id+`"}}}}`), related(id))
	mustContain(t, f.await(t, `"progressToken"`), `"`+metaRelatedTask+`":{"taskId":"RAW"}`)
	mustContain(t, c.await(`"progress":1`), related(id))
	mustLack(t, c.await(`"progress":2`), "UNKNOWN", "elated-task")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":"x","method":"tasks/result","params":{"taskId":"`+id+`","_meta":{"`+metaRelatedTask+`":{"taskId":"made up"}}}}`), related(id))
	mustLack(t, f.await(t, "tasks/result"), "made up", "related-task")
	got = c.send(`{"jsonrpc":"2.0","id":"g","method":"tasks/get","params":{"taskId":"` + id + `"}}`)
	mustContain(t, got, related(id), `"more":[{"_meta":{}}]`)
	mustLack(t, got, "RAW", "UNKNOWN")

	// A question within a task, and its answer.
	server := <-f.conns
	server.Send(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}},` + related("RAW") + `}}`)
	mustContain(t, c.answer(t, "elicitation/create", `{"action":"accept","content":{},`+related(id)+`}`), related(id))
	mustContain(t, f.await(t, `"id":"q"`), related("RAW"))
}

// TestTaskOfChangedTool holds that a task is looked after under the definition that it was
// made under.
func TestTaskOfChangedTool(t *testing.T) {
	f := newFake(t, "one", false)
	f.caps = `{"tools":{"listChanged":true},"tasks":{"requests":{"tools":{"call":{}}},"cancel":{}}}`
	f.answers["tools/call"] = `{"task":{"taskId":"RAW","status":"working"}}`
	f.answers["tasks/result"], f.answers["tasks/cancel"] = `{"content":[]}`, `{"taskId":"RAW","status":"cancelled"}`
	c := newClient(t, testRelay(t, nil, f)).legacy(taskingClient)
	id := taskOf(t, c.send(`{"jsonrpc":"2.0","id":"t","method":"tools/call","params":{"name":"echo","arguments":{},"task":{}}}`))
	about := func(method string) string {
		return c.send(`{"jsonrpc":"2.0","id":"r","method":"` + method + `","params":{"taskId":"` + id + `"}}`)
	}
	mustContain(t, about("tasks/result"), `"content":[]`)
	f.answers["tools/list"] = strings.Replace(f.answers["tools/list"], "Echoes.", "Echoes, and more.", 1)
	(<-f.conns).Send(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	c.await("list_changed")
	mustContain(t, about("tasks/result"), `"rule":"definition"`)
	mustContain(t, about("tasks/cancel"), `"cancelled"`)
}

// TestLegacyTaskOfModernClient: what a client could not follow is not begun.
func TestLegacyTaskOfModernClient(t *testing.T) {
	f := newFake(t, "one", false)
	f.answers["tools/call"] = `{"content":[]}`
	c := newClient(t, testRelay(t, nil, f))
	mustContain(t, c.modern("tools/call", `"name":"echo","task":{"ttl":1}`), `"isError":true`, "call the tool without one")
	mustContain(t, c.modern("tools/call", `"name":"echo"`), `"content":[]`)
	mustLack(t, f.await(t, "tools/call"), `"task"`)
}

// The quick look must not miss a spelling that the slow one knows.
func TestMayRelate(t *testing.T) {
	for _, name := range []string{
		`"io.modelcontextprotocol/related-task"`, `"IO.ModelContextProtocol/Related-Task"`, `"io.modelcontextprotocol\/RELATED-TASK"`,
		`"io.modelcontextprotocol/related-ta\u017f\u212a"`, "\"io.modelcontextprotocol/related-ta\u017f\u212a\"", `"\u0069o.modelcontextprotocol/related-task"`,
	} {
		if !isRelatedTask([]byte(name)) {
			t.Errorf("%s is not taken for the name of a related task", name)
		}
		if !mayRelate([]byte(`{"_meta":{` + name + `:{"taskId":"1"}}}`)) {
			t.Errorf("the quick look misses %s", name)
		}
	}
	for _, raw := range []string{`{}`, `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`, `{"text":"a/b\nrelated-task"}`} {
		if mayRelate([]byte(raw)) {
			t.Errorf("the quick look finds a related task in %s", raw)
		}
	}
}
