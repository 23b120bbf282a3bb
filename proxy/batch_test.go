package proxy

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

// batched is a client whose calls wait in a batch.
type batched struct {
	*testClient
	batch *Batch
	f     *fakeServer
	path  string // of the audit log
}

func newBatched(t *testing.T, change func(*config.Config)) *batched {
	f := newFake(t, "one", false)
	f.answers["tools/call"] = `{"content":[]}`
	path := t.TempDir() + "/audit.jsonl"
	log, err := audit.Open(audit.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	r := relayWith(t, testConfig(t, change, f), log, vault.Options{Poll: testPoll}, zerolog.Nop())
	c := newClient(t, r).legacy(`{}`)
	c.send(`{"jsonrpc":"2.0","id":"up","method":"tools/call","params":{"name":"echo","arguments":{}}}`) // so that nothing waits for the server
	f.await(t, "tools/call")
	return &batched{c, c.s.NewBatch(), f, path}
}

// put begins and runs a call in the batch, in this goroutine.
func (c *batched) put(id int, arguments string) (final chan string, x *Exchange) {
	c.t.Helper()
	raw := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":%s}}`, id, arguments)
	m, err := jsonrpc.Parse([]byte(raw), jsonrpc.Limits{})
	if err != nil {
		c.t.Fatal(err)
	}
	final = make(chan string, 1)
	x = c.s.Begin(context.Background(), m, oneStream{c.testClient, final})
	x.OnDone(func() {})
	x.OnWait(func() { c.t.Error("the call waits") })
	x.In(c.batch)
	x.Run()
	return final, x
}

func (c *batched) records(what string) int {
	c.t.Helper()
	b, err := os.ReadFile(c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Count(string(b), what)
}

func TestBatch(t *testing.T) {
	c := newBatched(t, nil)
	before := c.records(`"event":"intent"`)
	var finals []chan string
	for i := range 5 {
		final, _ := c.put(i, fmt.Sprintf(`{"n":%d}`, i))
		finals = append(finals, final)
	}
	if got := c.records(`"event":"intent"`); got != before {
		t.Errorf("%d records were written before the batch was let go", got-before)
	}
	select {
	case line := <-c.f.seen:
		t.Errorf("the server got %s before the batch was let go", line)
	default:
	}
	c.batch.Flush(nil)
	for i, final := range finals {
		mustContain(t, c.wait(final), fmt.Sprintf(`"id":%d,`, i), `"content":[]`)
		mustContain(t, c.f.await(t, "tools/call"), fmt.Sprintf(`"n":%d`, i))
	}
	if got := c.records(`"event":"intent"`) - before; got != 5 {
		t.Errorf("%d records of intent, want 5", got)
	}
	waitFor(t, "the outcomes", func() bool { return c.records(`"event":"outcome"`) == before+5 })
	if !c.batch.Empty() {
		t.Error("the batch is not empty")
	}
}

// Without their records no call of a batch is sent, and what limits reserved is given back.
func TestBatchWithoutRecords(t *testing.T) {
	c := newBatched(t, func(cfg *config.Config) {
		cfg.Limits = []config.Limit{{Name: "few", Tools: []string{"one.echo"}, Max: "3", Per: config.Period{Window: time.Hour}, By: "session", Then: "deny"}}
	})
	a, _ := c.put(1, `{"n":1}`)
	b, _ := c.put(2, `{"n":2}`)
	r, log := c.s.relay, c.s.relay.audit
	r.audit = audit.Discard()
	r.audit.Close()
	c.batch.Flush(nil)
	r.audit = log
	for _, final := range []chan string{a, b} {
		mustContain(t, c.wait(final), `"isError":true`, "audit")
	}
	select {
	case line := <-c.f.seen:
		t.Errorf("the server got %s without a record", line)
	default:
	}
	for id := 3; id < 5; id++ {
		final, _ := c.put(id, `{"n":3}`)
		c.batch.Flush(nil)
		mustContain(t, c.wait(final), `"content":[]`)
	}
	mustContain(t, c.f.await(t, "tools/call"), `"n":3`) // and nothing of the first two
	last, _ := c.put(5, `{"n":5}`)
	mustContain(t, c.wait(last), `"isError":true`, "few")
}

// A call that was given up while it waited is not sent, and counts against no limit.
func TestBatchGivenUp(t *testing.T) {
	c := newBatched(t, func(cfg *config.Config) {
		cfg.Limits = []config.Limit{{Name: "few", Tools: []string{"one.echo"}, Max: "3", Per: config.Period{Window: time.Hour}, By: "session", Then: "deny"}}
	})
	_, x := c.put(1, `{"n":1}`)
	other, _ := c.put(2, `{"n":2}`)
	x.cancel(&cancelError{})
	waitFor(t, "the end of the first", func() bool { return x.finished.Load() })
	c.batch.Flush(nil)
	mustContain(t, c.wait(other), `"id":2,`)
	if line := c.f.await(t, "tools/call"); !strings.Contains(line, `"n":2`) {
		t.Errorf("the server got %s", line)
	}
	again, _ := c.put(3, `{"n":3}`)
	c.batch.Flush(nil)
	mustContain(t, c.wait(again), `"content":[]`)
	mustLack(t, c.f.await(t, "tools/call"), `"n":1`)
}

// A fault while a batch is let go ends its calls, and nothing else.
func TestBatchFault(t *testing.T) {
	c := newBatched(t, nil)
	final, _ := c.put(1, `{"n":1}`)
	c.batch.calls[0].record = nil
	c.batch.Flush(nil)
	mustContain(t, c.wait(final), "the firewall failed on this request")
	mustContain(t, c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{}}}`), `"content":[]`)
}

// A long call goes out at once, after those that came before it.
func TestBatchOrder(t *testing.T) {
	c := newBatched(t, nil)
	c.put(1, `{"n":1}`)
	c.put(2, `{"text":"`+strings.Repeat("x", maxBatched)+`"}`)
	mustContain(t, c.f.await(t, "tools/call"), `"n":1`)
	mustContain(t, c.f.await(t, "tools/call"), `xxxx`)
}
