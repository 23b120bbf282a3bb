package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
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

// operand is a random expression of a number or a string.
func (w *writer) operand() string {
	path, schema := w.place("", nil)
	guarded := fmt.Sprintf("(%s ?? %s)", path, w.literal(schema))
	forms := []string{path, guarded, path + " * 2", guarded + " + 1", "len(" + path + ")", "len(" + guarded + ")", "max(" + guarded + ", 0)", "abs(" + path + ")", "sum(" + path + ")",
		"string(" + guarded + ")", "lower(" + path + ")", fmt.Sprintf("(type(%s) == \"int\" ? %[1]s : 3)", path), fmt.Sprintf("(let v = %s; v == nil ? 0 : v)", path), guarded + ` + "x"`, path + " - 1"}
	return forms[w.IntN(len(forms))]
}

// limitSoundness is soundness for what limits read.
func limitSoundness(t *testing.T, tool Capability, seed uint64, limits, values int) (accepted, evaluated int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 5))
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
	for range limits {
		l := Limit{Name: "l", Tools: []string{"*"}, Max: "1000", Per: "1h", Then: Ask}
		switch r.IntN(3) {
		case 0:
			l.When = w.condition(r.IntN(3), "", nil)
		case 1:
			l.Sum = w.operand()
		default:
			l.By = w.operand()
		}
		p, err := Compile(Source{Tools: Patterns{Default: Allow}, Limits: []Limit{l}})
		if err != nil || len(p.Check([]Capability{tool})) > 0 {
			continue
		}
		accepted++
		entry := p.Bind(tool)
		for _, raw := range args {
			evaluated++
			_, d := entry.Charges(Call{Args: raw}, Owner{Principal: "a", Session: "s"})
			if d.Failed != nil && !strings.Contains(d.Failed.Error(), "an empty string") && !strings.Contains(d.Failed.Error(), "too large") { // these depend on the value alone
				t.Errorf("%s.%s: nothing is found in\n\t%+v\nwhich fails on\n\t%s\n\t%s", tool.Server, tool.Name, l, raw, d.Failed)
				return accepted, evaluated
			}
		}
	}
	return accepted, evaluated
}

func TestCheckIsSoundOnLimits(t *testing.T) {
	for seed := range uint64(3) {
		accepted, evaluated := limitSoundness(t, oneTool(checkSchema), seed, 800, 40)
		if accepted < 30 || evaluated < 10*accepted {
			t.Errorf("only %d limits were accepted, and %d evaluated", accepted, evaluated)
		}
	}
}

func TestCheckIsSoundOnRecordedLimits(t *testing.T) {
	accepted, evaluated := 0, 0
	for i, tool := range recordedTools(t) {
		if testing.Short() && i%4 != 0 {
			continue
		}
		a, e := limitSoundness(t, tool, uint64(i), 15, 10)
		accepted, evaluated = accepted+a, evaluated+e
	}
	t.Logf("%d limits were accepted, %d evaluations", accepted, evaluated)
	if accepted < 200 {
		t.Error("too few to say anything")
	}
}

func TestCheckNegativeSummands(t *testing.T) {
	for _, test := range []struct {
		schema, sum string
		warns       bool
	}{
		{`{"type":"number"}`, "args.n", true}, {`{"type":"number","minimum":0}`, "args.n", false}, {`{"type":"integer","exclusiveMinimum":0}`, "args.n", false},
		{`{"type":"number","minimum":-1}`, "args.n", true}, {`{"enum":[1,2]}`, "args.n", false}, {`{"enum":[1,-2]}`, "args.n", true}, {`{"type":"number","minimum":0}`, "args.n * 2 + 1", false},
		{`{"type":"number","minimum":0}`, "args.n - 5", true}, {`{"type":"number"}`, "max(args.n, 0)", false}, {`{"type":"number"}`, "abs(args.n)", false}, {`{"type":"number"}`, "args.n * 100", true},
	} {
		p := mustPolicy(t, Source{Tools: Patterns{Default: Allow}, Limits: []Limit{{Name: "l", Tools: []string{"*"}, Sum: test.sum, Max: "5", Per: "day", Then: Deny}}})
		found := p.Check([]Capability{{Kind: Tool, Server: "s", Name: "t", InputSchema: []byte(`{"type":"object","properties":{"n":` + test.schema + `},"required":["n"]}`)}})
		if test.warns != (len(found) == 1) || test.warns && (!found[0].Warning || !strings.Contains(found[0].Message, "negative")) {
			t.Errorf("%s of %s: %+v", test.sum, test.schema, found)
		}
	}
}
