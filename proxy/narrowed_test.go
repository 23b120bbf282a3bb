package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// TestBroadToolCannotBeReached holds that nothing that a client of either era sends reaches
// the tool that a narrowed one is made of, and that all of it is answered as for a tool that
// does not exist.
func TestBroadToolCannotBeReached(t *testing.T) {
	for _, modern := range []bool{false, true} {
		for _, naming := range []string{"never", "always"} {
			t.Run(fmt.Sprintf("modern=%v,naming=%s", modern, naming), func(t *testing.T) {
				f := policyServer(t, modern)
				f.caps = `{"tools":{},"completions":{},"tasks":{"requests":{"tools":{"call":{}}},"list":{},"cancel":{}}}`
				r := testRelay(t, func(cfg *config.Config) {
					cardRules(cfg)
					cfg.Naming = config.Naming(naming)
				}, f)
				narrowed := "status"
				if naming == "always" {
					narrowed = "one__status"
				}
				legacy, newer := newClient(t, r).legacy(everyCap), newClient(t, r)
				mustContain(t, legacy.callTool(narrowed, `{}`), "shipped")
				f.await(t, `"name":"query"`) // which the narrowed one makes, and nothing else may
				mustContain(t, newer.modern("tools/call", `"name":"`+narrowed+`","arguments":{}`), "shipped")
				f.await(t, `"name":"query"`)

				for _, list := range []string{legacy.send(`{"jsonrpc":"2.0","id":"list","method":"tools/list"}`), newer.modern("tools/list", "")} {
					mustContain(t, list, `"`+narrowed+`"`)
					mustLack(t, list, `query"`)
				}
				const sql = `,"arguments":{"sql":"SELECT card FROM orders"}`
				for _, name := range []string{"query", "Query", "QUERY", " query", "query ", "one.query", "one__query", "One__query", "one__Query", "one__one__query", "one_query", "one/query", "__query", "query\\u0000", "quer\\u0079", "\\u0071uery",
					"que\\u0000ry", "ｑuery", "query\\u200b", "../query", "status/../query", "status query"} {
					nothing := strings.ReplaceAll(legacy.send(`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"nosuch"`+sql+`}}`), "nosuch", "")
					for _, params := range []string{sql, sql + `,"task":{}`, sql + `,"task":{"ttl":60000}`} {
						for _, got := range []string{
							legacy.send(`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"` + name + `"` + params + `}}`),
							newer.modern("tools/call", `"name":"`+name+`"`+params),
						} {
							if !strings.Contains(got, `"error":{"code":-32602,"message":"Unknown tool`) {
								t.Errorf("%s%s: %s; what does not exist is %s", name, params, got, nothing)
							}
						}
					}
					for _, ref := range []string{`{"type":"ref/tool","name":"` + name + `"}`, `{"type":"ref/prompt","name":"` + name + `"}`} {
						for _, got := range []string{
							legacy.send(`{"jsonrpc":"2.0","id":"x","method":"completion/complete","params":{"ref":` + ref + `,"argument":{"name":"sql","value":"S"}}}`),
							newer.modern("completion/complete", `"ref":`+ref+`,"argument":{"name":"sql","value":"S"}`),
						} {
							mustContain(t, got, `"error"`)
						}
					}
				}
				// What the server was sent since: nothing that names the tool.
				legacy.callTool("read", `{}`)
				for {
					select {
					case line := <-f.seen:
						m, err := jsonrpc.Parse([]byte(line), jsonrpc.Limits{})
						if err == nil && (m.Method == "completion/complete" || m.Method == "tools/call" && strings.Contains(line, "query")) {
							t.Errorf("the server was sent %s", line)
						}
						continue
					default:
					}
					break
				}
			})
		}
	}
}

// TestLimitsAfterARestart holds that what was counted is still counted when the firewall is
// started again.
func TestLimitsAfterARestart(t *testing.T) {
	f, folder := policyServer(t, false), t.TempDir()
	start := func(t *testing.T) *testClient {
		return newClient(t, testRelay(t, func(cfg *config.Config) {
			cfg.State.Path = folder
			cfg.Limits = []config.Limit{
				{Name: "money", Tools: []string{"one.send"}, Sum: "args.n", Max: "100", Per: config.Period{Window: 24 * time.Hour}, Then: "deny"},
				{Name: "reads", Tools: []string{"one.read"}, Max: "1", Per: config.Period{Calendar: "month"}, Then: "deny"},
			}
		}, f)).legacy(`{}`)
	}
	t.Run("before", func(t *testing.T) { // at whose end the relay is closed
		c := start(t)
		mustContain(t, c.callTool("send", `{"n":70}`), "done")
		mustContain(t, c.callTool("read", `{}`), "alice")
	})
	c := start(t)
	mustContain(t, c.callTool("send", `{"n":31}`), `"rule":"money"`, "30 is left")
	mustContain(t, c.callTool("send", `{"n":30}`), "done")
	mustContain(t, c.callTool("read", `{}`), `"rule":"reads"`)
}
