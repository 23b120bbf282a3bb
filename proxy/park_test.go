package proxy

import (
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// pairAsker asks two things in the middle of a call, the second when told so, and needs
// both answers.
func pairAsker(f *fakeServer, second func(send func())) {
	var call string
	var answers []string
	question := func(id string) string {
		return `{"jsonrpc":"2.0","id":"` + id + `",` + ask[1:]
	}
	f.handle = func(c *fakeConn, m *jsonrpc.Message) bool {
		switch {
		case m.Method == "tools/call":
			call = string(m.At(m.ID))
			c.Send(question("first"))
			second(func() { c.Send(question("second")) })
			return true
		case m.Method == "":
			colour, _ := jsonrpc.GetString(m.At(m.Result), "content", "colour")
			if answers = append(answers, colour); len(answers) == 2 {
				c.Send(`{"jsonrpc":"2.0","id":` + call + `,"result":{"content":[{"type":"text","text":"painted ` + strings.Join(answers, " and ") + `"}]}}`)
			}
			return true
		}
		return false
	}
}

func answersTo(keys ...string) string {
	var list []string
	for i, key := range keys {
		list = append(list, `"`+key+`":{"action":"accept","content":{"colour":"`+[]string{"red", "blue"}[i]+`"}}`)
	}
	return `"name":"echo","inputResponses":{` + strings.Join(list, ",") + `}`
}

// TestTwoQuestionsTogether holds that questions that come together are put together.
func TestTwoQuestionsTogether(t *testing.T) {
	f := newFake(t, "one", false)
	pairAsker(f, func(send func()) { send() })
	c := newClient(t, testRelay(t, nil, f))
	got := c.modern("tools/call", `"name":"echo"`)
	var keys []string
	requests := jsonrpc.Get([]byte(got), "result", "inputRequests")
	for name := range jsonrpc.Members(requests, jsonrpc.Span{End: len(requests)}) {
		keys = append(keys, jsonrpc.String(requests[name.Start:name.End]))
	}
	if len(keys) != 2 {
		t.Fatalf("asks %q in %s", keys, got)
	}
	mustContain(t, c.modern("tools/call", answersTo(keys...)+`,"requestState":"`+stateOf(t, got)+`"`), "painted red and blue")
}

// TestSecondQuestionLater holds that a question of a call that waits already is put in its
// next round.
func TestSecondQuestionLater(t *testing.T) {
	f := newFake(t, "one", false)
	later := make(chan func(), 1)
	pairAsker(f, func(send func()) { later <- send })
	c := newClient(t, testRelay(t, nil, f))
	got := c.modern("tools/call", `"name":"echo"`)
	key := keyOf(t, got)
	(<-later)()
	l := c.s.fleet.links()[0]
	waitFor(t, "the second question", func() bool { up := l.soleParked(); return up != nil && len(up.asks) == 1 })
	got = c.modern("tools/call", answersTo(key)+`,"requestState":"`+stateOf(t, got)+`"`)
	if second := keyOf(t, got); second == key {
		t.Errorf("the first question is put again: %s", got)
	}
	mustContain(t, c.modern("tools/call", answersTo(keyOf(t, got))+`,"requestState":"`+stateOf(t, got)+`"`), "painted red and red")
}
