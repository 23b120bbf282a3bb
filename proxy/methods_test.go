package proxy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
)

// What each version of the specification names, from its schema: requests and
// notifications of the client (c) and of the server (s).
var specified = map[string]string{
	"initialize": "c", "ping": "cs", "logging/setLevel": "c", "completion/complete": "c",
	"tools/list": "c", "tools/call": "c", "prompts/list": "c", "prompts/get": "c",
	"resources/list": "c", "resources/templates/list": "c", "resources/read": "c",
	"resources/subscribe": "c", "resources/unsubscribe": "c",
	"roots/list": "s", "sampling/createMessage": "s",
	"notifications/initialized": "c", "notifications/roots/list_changed": "c",
	"notifications/cancelled": "cs", "notifications/progress": "cs",
	"notifications/message": "s", "notifications/resources/updated": "s",
	"notifications/resources/list_changed": "s", "notifications/tools/list_changed": "s", "notifications/prompts/list_changed": "s",
	// since 2025-06-18
	"elicitation/create": "s",
	// since 2025-11-25
	"tasks/get": "cs", "tasks/result": "cs", "tasks/list": "cs", "tasks/cancel": "cs",
	"notifications/tasks/status": "s", "notifications/elicitation/complete": "s",
	// since 2026-07-28
	"server/discover": "c", "subscriptions/listen": "c", "notifications/subscriptions/acknowledged": "s",
	// extension io.modelcontextprotocol/tasks
	"tasks/update": "c", "notifications/tasks": "s",
}

func TestTableNamesEveryMethod(t *testing.T) {
	for name, sides := range specified {
		row := table[name]
		if row == nil {
			t.Errorf("%s: not in the table", name)
			continue
		}
		if row.params == nil {
			t.Errorf("%s: its params have no names", name)
		}
		for _, side := range sides {
			if side == 'c' && row.request == nil && row.notice == nil {
				t.Errorf("%s: nothing is done with it when a client sends it", name)
			}
			if side == 's' && row.demand == nil && row.news == nil {
				t.Errorf("%s: nothing is done with it when a server sends it", name)
			}
		}
	}
	for name := range table {
		if specified[name] == "" {
			t.Errorf("%s: in the table, but no version of the specification names it", name)
		}
	}
}

// TestTableNamesOfficialSchemas walks over the official schemas themselves: their methods
// and, of each, the members of its params.
func TestTableNamesOfficialSchemas(t *testing.T) {
	shared := os.Getenv("MCPFIREWALL_SHARED")
	if shared == "" {
		t.Skip("skipped: MCPFIREWALL_SHARED does not name the data folder")
	}
	type property struct {
		Const      any                 `json:"const"`
		Ref        string              `json:"$ref"`
		AnyOf      []property          `json:"anyOf"`
		Properties map[string]property `json:"properties"`
	}
	found := 0
	for _, version := range SupportedVersions() {
		text, err := os.ReadFile(filepath.Join(shared, "data", "mcp-schema", version+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Defs        map[string]property `json:"$defs"`
			Definitions map[string]property `json:"definitions"`
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		defs := doc.Defs
		if defs == nil {
			defs = doc.Definitions
		}
		var members func(p property) []string
		members = func(p property) []string {
			var names []string
			if i := len("#/$defs/"); len(p.Ref) > i {
				names = append(names, members(defs[filepath.Base(p.Ref)])...)
			}
			for _, alternative := range p.AnyOf {
				names = append(names, members(alternative)...)
			}
			for name := range p.Properties {
				names = append(names, name)
			}
			return names
		}
		for definition, d := range defs {
			method, _ := d.Properties["method"].Const.(string)
			if method == "" {
				continue
			}
			found++
			row := table[method]
			if row == nil {
				t.Errorf("%s: %s (%s) is not in the table", version, method, definition)
				continue
			}
			for _, name := range members(d.Properties["params"]) {
				if row.params.Find([]byte(`"`+name+`"`)) == "" {
					t.Errorf("%s: the table does not name member %s of the params of %s", version, name, method)
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d methods found in the schemas: they were not read as they are written", found)
	}
}
