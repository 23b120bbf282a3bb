package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// TestNarrowRecorded narrows every tool that public servers were seen to offer
// by handing its arguments through under other names, which has to be found
// right, and with one argument too many or too few, which has not.
func TestNarrowRecorded(t *testing.T) {
	shared := os.Getenv("MCPFIREWALL_SHARED")
	if shared == "" {
		t.Skip("MCPFIREWALL_SHARED is not set: the recorded tool lists are not here")
	}
	files, err := filepath.Glob(filepath.Join(shared, "data", "mcp-servers", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded tool lists: %v", err)
	}
	tools, whole := 0, map[string]int{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := jsonrpc.CheckValue(raw, jsonrpc.Limits{}); err != nil {
			t.Fatal(err)
		}
		list := jsonrpc.Get(raw, "tools")
		for item := range jsonrpc.Elements(list, jsonrpc.Span{End: len(list)}) {
			tool := list[item.Start:item.End]
			name, _ := jsonrpc.GetString(tool, "name")
			tools++
			n := Narrow{Name: "narrowed", From: "s." + name, Description: "d", Input: map[string][]byte{}, Args: map[string]string{}}
			properties := jsonrpc.Get(tool, "inputSchema", "properties")
			for i, p := range memberNames(properties) {
				types := strings.Join(rawTypes(jsonrpc.Get(properties, p, "type")), `","`)
				if types == "" {
					types = "string"
				}
				in := fmt.Sprintf("in%d", i)
				n.Input[in] = []byte(`{"type":["` + types + `"]}`)
				n.Args[p] = "input." + in
			}
			_, problems := tryNarrow(n)
			for _, problem := range problems {
				p := strings.TrimPrefix(problem.Path, "tools.narrow.narrowed.args.")
				whole[p]++
				n.Input[strings.TrimPrefix(n.Args[p], "input.")] = []byte(`{"enum":["x"]}`)
			}
			if _, err := mustNarrow(t, n).Definition(tool); err != nil {
				t.Errorf("%s %s: %v", filepath.Base(file), name, err)
			}

			n.Input, n.Args = nil, map[string]string{"no such argument": "1"}
			_, err := mustNarrow(t, n).Definition(tool)
			if found := err != nil && strings.Contains(err.Error(), "has no argument"); found == schemaIsOpen(tool) {
				t.Errorf("%s %s: an argument that it has not: %v", filepath.Base(file), name, err)
			}
			required := jsonrpc.Get(tool, "inputSchema", "required")
			if found := err != nil && strings.Contains(err.Error(), "needs the argument"); found != (len(required) > 2) {
				t.Errorf("%s %s: what it needs is not sent: %v", filepath.Base(file), name, err)
			}
		}
	}
	t.Logf("%d tools; refused as a whole statement or option: %v", tools, whole)
	if tools < 100 {
		t.Errorf("only %d tools were found", tools)
	}
}

// schemaIsOpen reports whether a tool says that it takes any argument.
func schemaIsOpen(tool []byte) bool {
	additional := jsonrpc.Get(tool, "inputSchema", "additionalProperties")
	return len(additional) > 0 && string(additional) != "false" || len(jsonrpc.Get(tool, "inputSchema")) <= 2
}
