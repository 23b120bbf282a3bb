package trial

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
)

// replayed replays records, of which rest is what follows the time and the id.
func replayed(t *testing.T, p *Policy, lists map[string]string, rest ...string) *Replay {
	t.Helper()
	var log strings.Builder
	for i, r := range rest {
		at := time.Date(2026, 3, 2, 10, i, 0, 0, time.UTC).Format("2006-01-02T15:04:05.000Z")
		fmt.Fprintf(&log, `{"time":"%s","id":"r-%d","principal":"ann","client":"c",%s}`+"\n", at, i, r)
	}
	r, err := p.Replay(context.Background(), strings.NewReader(log.String()), lists)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func toolCall(event, server, name, args, more string) string {
	return fmt.Sprintf(`"event":%q,"session":"s","server":%q,"method":"tools/call","capability":%q,"arguments":%s%s`, event, server, name, args, more)
}

func TestReplay(t *testing.T) {
	const allowed, denied = `,"action":"allow"`, `,"action":"deny","rule":"old"`
	tests := []struct {
		name    string
		records []string
		want    string // of the last record: "same", "deny by known", "cannot tell: reads"
	}{
		{"as before", []string{toolCall("intent", "a", "send", `{"n":1}`, allowed)}, "same"},
		{"a rule asks now", []string{toolCall("intent", "a", "send", `{"n":11}`, allowed)}, "ask by large"},
		{"it was approved", []string{toolCall("intent", "a", "send", `{"n":11}`, `,"action":"allow","rule":"old","reason":"approved by the user"`)}, "same"},
		{"it was not approved", []string{toolCall("refusal", "a", "send", `{"n":11}`, `,"action":"ask","rule":"old"`)}, "same"},
		{"no longer denied", []string{toolCall("refusal", "a", "send", `{"n":1}`, denied)}, "allow by tools.allow: a.*"},
		{"denied by a pattern", []string{toolCall("intent", "a", "drop", `{}`, allowed)}, "deny by tools.deny: *.drop"},
		{"narrowed away", []string{toolCall("intent", "b", "query", `{"sql":"x"}`, allowed)}, "deny by tools.narrow"},
		{"narrowed", []string{toolCall("intent", "b", "status", `{"id":1}`, allowed)}, "same"},
		{"narrowed, and does not fit", []string{toolCall("intent", "b", "status", `{"id":0}`, allowed)}, "deny by schema"},
		{"narrowed, and cut", []string{toolCall("intent", "b", "status", `"{\"id\":"`, `,"arguments_cut":true,"action":"allow"`)}, "cannot tell: narrowed"},
		{"a server that is gone", []string{toolCall("intent", "old", "read", `{}`, allowed)}, "deny by servers: there is no old"},
		{"provenance", []string{toolCall("intent", "a", "send", `{"to":"x@example.com"}`, allowed)}, "cannot tell: came from"},
		{"provenance, not come to", []string{toolCall("intent", "a", "send", `{}`, allowed)}, "same"},
		{"provenance, and more", []string{toolCall("intent", "a", "send", `{"to":"x@example.com","n":11}`, allowed)}, "ask by large"},
		{"provenance, and was asked", []string{toolCall("intent", "a", "send", `{"to":"x@example.com","n":11}`, `,"action":"allow","reason":"approved by the user"`)}, "cannot tell: came from"},
		{"cut", []string{toolCall("intent", "a", "send", `{"n":11,"text":"a…(9 bytes left out)…b"}`, `,"arguments_cut":true,"action":"allow"`)}, "cannot tell: cut"},
		{"cut, with too many values", []string{toolCall("intent", "a", "send", `"{\"n\":11,\"te"`, `,"arguments_cut":true,"action":"allow"`)}, "cannot tell: cut"},
		{"cut, of no matter", []string{toolCall("intent", "b", "send", `"{\"n\":11,\"te"`, `,"arguments_cut":true,"action":"allow"`)}, "same"},
		{"masked", []string{toolCall("intent", "a", "send", `{"n":1,"text":"[redacted:vault]"}`, allowed)}, "cannot tell: masked"},
		{"groups", []string{toolCall("intent", "b", "read", `{}`, allowed)}, "cannot tell: groups"},
		{"annotations", []string{toolCall("intent", "a", "query", `{"sql":"x"}`, allowed)}, "cannot tell: annotations"},
		{"annotations, not needed to deny", []string{toolCall("intent", "a", "query", `{"sql":"x"}`, denied)}, "cannot tell: annotations"},
		{"rules on results", []string{toolCall("intent", "a", "read", `{}`, allowed)}, "cannot tell: results"},
		{"not offered, nor now", []string{`"event":"refusal","session":"s","method":"tools/call","capability":"a__drop","action":"deny","rule":"unknown"`}, "same"},
		{"not offered", []string{`"event":"refusal","session":"s","method":"tools/call","capability":"a__send","action":"deny","rule":"unknown"`}, "cannot tell: not offered"},
		{"a prompt", []string{`"event":"intent","session":"s","server":"a","method":"prompts/get","capability":"x","action":"allow"`}, "deny by prompts.default"},
		{"a resource", []string{`"event":"refusal","session":"s","server":"a","method":"resources/read","capability":"x://y","action":"deny","rule":"old"`}, "same"},
		{"calls are counted", []string{toolCall("intent", "b", "send", `{}`, allowed), toolCall("intent", "b", "send", `{}`, allowed), toolCall("intent", "b", "send", `{}`, allowed)}, "deny by each session"},
		{"what is not sent is not counted", []string{toolCall("intent", "b", "send", `{}`, allowed), toolCall("refusal", "b", "send", `{}`, `,"action":"deny","rule":"schema"`), toolCall("intent", "b", "send", `{}`, allowed)}, "same"},
		{"labels", []string{toolCall("intent", "a", "read", `{}`, allowed), toolCall("intent", "b", "send", `{}`, allowed)}, "deny by after reading"},
		{"an unknown call is counted", []string{toolCall("intent", "a", "send", `{"to":"x@example.com","n":10}`, allowed), toolCall("intent", "a", "send", `{"to":"x@example.com","n":95}`, allowed)}, "ask by large"},
		{"the past of history", []string{toolCall("intent", "a", "read", `{}`, allowed), toolCall("intent", "a", "read", `{}`, allowed), toolCall("intent", "a", "read", `{}`, allowed)}, "deny by seldom"},
	}
	p := openPolicy(t, strings.Replace(policyText, "use: [ssrf]\n", "", 1))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := replayed(t, p, nil, test.records...)
			got := "same"
			for _, c := range r.Calls {
				if c.Line != len(test.records) {
					continue
				}
				if got = c.New.Action + " by " + c.New.Rule; c.Outcome == CannotTell {
					got = "cannot tell: " + strings.Join(c.Why, "; ")
				}
			}
			if want, why, _ := strings.Cut(test.want, ": "); got != test.want && (want != "cannot tell" || !strings.HasPrefix(got, want) || !strings.Contains(got, why)) {
				t.Errorf("it is %q, want %q", got, test.want)
			}
			if r.Same+r.Differs+r.CannotTell+r.NotCompared != len(test.records) {
				t.Errorf("of %d records: %+v", len(test.records), r)
			}
		})
	}
}

func TestReplayLists(t *testing.T) {
	p := openPolicy(t, policyText)
	lists := map[string]string{"a": write(t, t.TempDir(), "a.json", tools)}
	r := replayed(t, p, lists, toolCall("intent", "a", "query", `{"sql":"x"}`, `,"action":"allow"`), toolCall("intent", "a", "gone", `{}`, `,"action":"allow"`))
	if r.Same != 1 || r.CannotTell != 1 {
		t.Errorf("with a list: %+v", r)
	}
}

func TestReplayWithheld(t *testing.T) {
	p := openPolicy(t, policyText)
	call := `"id":"x","time":"2026-03-02T10:00:00.000Z",` + toolCall("intent", "b", "status", `{"id":1}`, `,"action":"allow"`)
	withheld := strings.Replace(call, `"intent"`, `"refusal"`, 1)
	log := "{" + call + "}\n{" + strings.Replace(withheld, `"action":"allow"`, `"action":"deny","rule":"no orders"`, 1) + "}\nnot a record\n{\"time\":\"20"
	r, err := p.Replay(context.Background(), strings.NewReader(log), nil)
	if err != nil || r.Same != 1 || r.CannotTell != 1 || len(r.Unreadable) != 2 || !strings.HasPrefix(r.Calls[0].Call, "the result of") {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestReplayAudit reads what package audit writes.
func TestReplayAudit(t *testing.T) {
	p := openPolicy(t, policyText)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log, err := audit.Open(audit.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{`{"n":1}`, `{"n":11}`, `{"n":1,"text":"` + strings.Repeat("x", 5000) + `"}`} {
		if err := log.Write(&audit.Record{ID: log.NewID(), Event: audit.Intent, Session: "s", Principal: "ann", Server: "a", Method: "tools/call", Capability: "send", Arguments: []byte(args), Action: "allow"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := readFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Replay(context.Background(), strings.NewReader(string(text)), nil)
	if err != nil || r.Same != 1 || r.Differs != 1 || r.CannotTell != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzReplay(f *testing.F) {
	f.Add(`{"time":"2026-03-02T10:00:00Z","id":"1",` + toolCall("intent", "a", "send", `{"n":1}`, "") + "}\n")
	f.Add(`{"event":"refusal","method":"resources/read","capability":"` + strings.Repeat("x", 300) + "…\"}\n{}\n[]\n\x00")
	p := openPolicy(f, policyText)
	f.Fuzz(func(t *testing.T, log string) {
		r, err := p.Replay(context.Background(), strings.NewReader(log), nil)
		if err == nil && r.Differs+r.CannotTell != len(r.Calls) {
			t.Errorf("%+v", r)
		}
	})
}
