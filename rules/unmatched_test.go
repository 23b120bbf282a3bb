package rules

import "testing"

// TestUnmatchedNarrowed holds that it is said where a rule or a limit names only a broad tool
// that nobody can call, or a limit no tool at all.
func TestUnmatchedNarrowed(t *testing.T) {
	all := Patterns{Default: Allow}
	p, err := Compile(Source{Tools: all, Resources: all, Prompts: all,
		Narrow: []Narrow{{Name: "status", From: "db.query", Description: "Status.", Args: map[string]string{"sql": `"SELECT 1"`}}},
		Rules:  []Rule{{Name: "r", Tools: []string{"db.query"}, Then: Deny}, {Name: "s", Tools: []string{"db.status"}, Then: Ask}},
		Limits: []Limit{{Name: "l", Tools: []string{"db.query"}, Max: "1", Per: "1h0m0s", Then: Deny},
			{Name: "m", Tools: []string{"db.sendd"}, Max: "1", Per: "1h0m0s", Then: Deny},
			{Name: "n", Tools: []string{"db.*"}, Max: "1", Per: "1h0m0s", Then: Deny}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range p.Unmatched([]Capability{{Kind: Tool, Server: "db", Name: "query"}, {Kind: Tool, Server: "db", Name: "status"}, {Kind: Tool, Server: "db", Name: "send"}}) {
		got = append(got, u.Path)
	}
	want := []string{"limits[0].tools[0]", "limits[1].tools[0]", "rules[0].tools[0]"}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("unmatched: %v, want %v", got, want)
	}
}
