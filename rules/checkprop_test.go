package rules

import (
	"math/rand/v2"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/schema"
)

// soundness writes random conditions for a tool and evaluates those in which
// nothing is found on arguments that the schema allows: none may fail.
func soundness(t *testing.T, tool Capability, seed uint64, conditions, values int) (accepted, evaluated, valid int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	m := newMaker(tool.InputSchema, r)
	w := newWriter(m)
	if len(w.names) == 0 {
		return
	}
	s, err := schema.Compile(tool.InputSchema)
	if err != nil {
		t.Fatalf("%s: %s", tool.Name, err)
	}
	var args [][]byte
	for range 20 * values {
		if len(args) == values {
			break
		}
		if raw := m.args(); s.Check(raw, false) == nil {
			args = append(args, raw)
		}
	}
	for range conditions {
		when := w.condition(r.IntN(4), "", nil)
		p, err := Compile(Source{Tools: Patterns{Default: Allow}, Rules: []Rule{{Name: "r", Tools: []string{"*"}, When: when, Then: Ask}}})
		if err != nil {
			continue // expr's own checker finds some of it
		}
		if len(p.Check([]Capability{tool})) > 0 {
			continue
		}
		accepted++
		entry := p.Bind(tool)
		for _, raw := range args {
			evaluated++
			if d := entry.Decide(Call{Args: raw}); d.Failed != nil {
				t.Errorf("%s.%s: nothing is found in\n\t%s\nwhich fails on\n\t%s\n\t%s", tool.Server, tool.Name, when, raw, d.Failed)
				return accepted, evaluated, len(args)
			}
		}
	}
	return accepted, evaluated, len(args)
}

func TestCheckIsSound(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 500
	}
	for seed := range uint64(4) {
		accepted, evaluated, _ := soundness(t, oneTool(checkSchema), seed, n, 60)
		if accepted < n/20 || evaluated < accepted*10 {
			t.Errorf("only %d of %d conditions were accepted, and %d evaluated", accepted, n, evaluated)
		}
	}
}

func TestCheckIsSoundOnRecorded(t *testing.T) {
	accepted, evaluated, without := 0, 0, 0
	conditions := 20
	if testing.Short() {
		conditions = 10
	}
	for i, tool := range recordedTools(t) {
		a, e, valid := soundness(t, tool, uint64(i), conditions, 12)
		accepted, evaluated = accepted+a, evaluated+e
		if valid == 0 {
			without++
		}
		if t.Failed() && i > 50 {
			break
		}
	}
	t.Logf("%d conditions were accepted, %d evaluations; %d tools without valid arguments", accepted, evaluated, without)
	if accepted < 70*conditions || evaluated < 10*accepted {
		t.Error("too few to say anything")
	}
}
