package proxy

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/rs/zerolog"
)

// discard is a client that looks at nothing.
type discard struct{ n int }

func (d *discard) Send(messages ...Outgoing) error {
	for _, m := range messages {
		d.n += len(m.Raw)
	}
	return nil
}

// BenchmarkCall is a tools/call from the client's bytes to the client's bytes over a
// child's standard streams, with 100 rules of which 10 concern the tool.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{64, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := newFake(b, "one", false)
			f.seen = nil
			payload := strings.Repeat("The quick brown fox jumps over the lazy dog, and every line of it ends somewhere.\\n", size/80+1)[:size-1] + "x"
			f.answers["tools/call"] = `{"content":[{"type":"text","text":"` + payload + `"}]}`
			r := testRelay(b, func(cfg *config.Config) {
				for i := range 100 {
					tool := "other.*"
					if i%10 == 0 {
						tool = "one.*"
					}
					cfg.Rules = append(cfg.Rules, config.Rule{Name: fmt.Sprintf("rule %d", i), Tools: []string{tool}, When: fmt.Sprintf(`(args.n ?? 0) > %d`, 1000+i), Then: "deny"})
				}
			}, f)
			r.log = zerolog.Nop()
			c := newClient(b, r).legacy(`{}`)
			call := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"` + payload + `"}}}`)
			var out discard
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				m, err := jsonrpc.Parse(call, jsonrpc.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				c.s.Begin(context.Background(), m, &out).Run()
			}
			if out.n < b.N*size {
				b.Fatalf("%d bytes came back of %d", out.n, b.N*size)
			}
		})
	}
}

// BenchmarkList merges, filters and pages 10,000 tools of 10 servers.
func BenchmarkList(b *testing.B) {
	var servers []*fakeServer
	for s := range 10 {
		f := newFake(b, fmt.Sprintf("s%d", s), false)
		f.seen = nil
		var tools []string
		for i := range 1000 {
			tools = append(tools, strings.Replace(echoTool, "echo", fmt.Sprintf("tool%d", i), 1))
		}
		f.answers["tools/list"] = `{"tools":[` + strings.Join(tools, ",") + `]}`
		servers = append(servers, f)
	}
	r := testRelay(b, func(cfg *config.Config) { cfg.Tools.Deny = []string{"*.tool*7"} }, servers...)
	c := newClient(b, r).legacy(`{}`)
	c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range c.s.fleet.links() { // as after a change of every list
			l.catalog.mu.Lock()
			l.catalog.serial++
			l.catalog.binds = nil
			l.catalog.mu.Unlock()
		}
		r.epoch.Add(1)
		cursor, seen := "", 0
		for {
			got := []byte(c.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"` + cursor + `"}}`))
			for range jsonrpc.Elements(got, jsonrpc.Find(got, jsonrpc.Span{End: len(got)}, "result", "tools")) {
				seen++
			}
			var more bool
			if cursor, more = jsonrpc.GetString(got, "result", "nextCursor"); !more {
				break
			}
		}
		if seen != 9000 {
			b.Fatalf("%d tools, want 9000", seen)
		}
	}
}
