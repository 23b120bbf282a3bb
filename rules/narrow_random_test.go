package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// exprs writes expressions that mostly run: literals are capitals, and "it" is
// what # may stand for.
type exprs struct {
	*rand.Rand
	it int // predicates around
}

func (r *exprs) pick(options ...func() string) string { return options[r.IntN(len(options))]() }

func (r *exprs) text(depth int) string {
	literal := func() string { return `"` + strings.Repeat("A", 1+r.IntN(2)) + `"` }
	free := func() string { return "input.free" }
	if depth <= 0 {
		return r.pick(literal, literal, free, func() string { return "input.word" }, func() string { return "string(" + r.number() + ")" },
			func() string {
				if r.it > 0 {
					return "string(#)"
				}
				return "input.obj.s"
			})
	}
	d := depth - 1
	return r.pick(
		func() string { return "(" + r.text(d) + " + " + r.text(d) + ")" },
		func() string { return "(" + r.text(d) + " + " + r.text(d) + ")" },
		func() string { return "join(" + r.list(d) + ", " + r.text(d) + ")" },
		func() string { return "replace(" + r.text(d) + ", " + r.text(0) + ", " + r.text(d) + ")" },
		func() string { return "(input.n > 3 ? " + r.text(d) + " : " + r.text(d) + ")" },
		func() string { return "(" + r.text(d) + " ?? " + r.text(d) + ")" },
		func() string { return "(" + r.list(d) + ")[0]" },
		func() string { return "first(" + r.list(d) + ")" },
		func() string { return "last(" + r.list(d) + ")" },
		func() string { return "find(" + r.list(d) + ", # != " + r.text(0) + ")" },
		func() string { return "trim(" + r.text(d) + ", " + r.text(0) + ")" },
		func() string { return "trimPrefix(" + r.text(d) + ", " + r.text(0) + ")" },
		func() string { return "(" + r.text(d) + ")[0:3]" },
		func() string { return "repeat(" + r.text(d) + ", 2)" },
		func() string { return "get(" + r.object(d) + `, "K")` },
		func() string { return "(" + r.object(d) + ").K" },
		func() string { return "(" + r.object(d) + ")[" + r.text(0) + "]" },
		func() string { return "string(" + r.text(d) + ")" },
		func() string { return "reduce(" + r.list(d) + ", #acc + #, " + r.text(d) + ")" },
		func() string { return "reduce(" + r.list(d) + ", " + r.text(d) + ")" },
		func() string {
			v := fmt.Sprintf("v%d", r.IntN(1000))
			return "(let " + v + " = " + r.text(d) + "; " + r.text(d) + " + " + v + ")"
		},
	)
}

func (r *exprs) number() string {
	return r.pick(func() string { return "input.n" }, func() string { return "input.n + 1" }, func() string { return "len(input.free)" }, func() string { return "7" })
}

func (r *exprs) list(depth int) string {
	if depth <= 0 {
		return r.pick(func() string { return "input.names" }, func() string { return "[" + r.text(0) + ", " + r.text(0) + "]" })
	}
	d := depth - 1
	within := func(f func() string) string {
		r.it++
		defer func() { r.it-- }()
		return f()
	}
	return r.pick(
		func() string { return "[" + r.text(d) + ", " + r.text(d) + "]" },
		func() string { return "map(" + r.list(d) + ", " + within(func() string { return r.text(d) }) + ")" },
		func() string { return "filter(" + r.list(d) + ", # != " + r.text(0) + ")" },
		func() string { return "concat(" + r.list(d) + ", " + r.list(d) + ")" },
		func() string { return "flatten([" + r.list(d) + ", " + r.list(d) + "])" },
		func() string {
			return r.pick(func() string { return "sort(" }, func() string { return "uniq(" }, func() string { return "reverse(" }) + r.list(d) + ")"
		},
		func() string { return "take(" + r.list(d) + ", 1)" },
		func() string { return "sortBy(" + r.list(d) + ", #)" },
		func() string { return "split(" + r.text(d) + ", " + r.text(0) + ")" },
		func() string { return "values(" + r.object(d) + ")" },
		func() string { return "keys(" + r.object(d) + ")" },
		func() string { return "first(toPairs(" + r.object(d) + "))" },
		func() string { return "values(groupBy(" + r.list(d) + ", #))[0]" },
		func() string { return "(input.n > 3 ? " + r.list(d) + " : " + r.list(d) + ")" },
	)
}

func (r *exprs) object(depth int) string {
	if depth <= 0 {
		return r.pick(func() string { return "input.obj" }, func() string { return `{"K": ` + r.text(0) + `}` })
	}
	return r.pick(
		func() string { return `{"K": ` + r.text(depth-1) + `, "L": ` + r.text(0) + `}` },
		func() string { return `{(` + r.text(0) + `): ` + r.text(depth-1) + `}` },
		func() string { return `fromPairs([[` + r.text(0) + `, ` + r.text(depth-1) + `]])` },
	)
}

// FuzzNarrowRandom is FuzzNarrowFlow over expressions that make sense.
func FuzzNarrowRandom(f *testing.F) {
	inputs := inputsOf("free", `{"type":"string"}`, "n", `{"type":"integer","minimum":0}`, "word", `{"type":"string","pattern":"^[a-z]+$"}`,
		"names", `{"type":"array","items":{"type":"string"}}`, "obj", `{"type":"object","properties":{"s":{"type":"string"}}}`)
	for seed := range uint64(300) {
		f.Add(seed)
	}
	ran := 0
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := &exprs{Rand: rand.New(rand.NewPCG(seed, 1))}
		expression := r.pick(func() string { return r.text(1 + r.IntN(3)) }, func() string { return r.list(1 + r.IntN(3)) })
		c, _ := tryNarrow(Narrow{Name: "t", From: "s.b", Description: "d", Input: inputs, Args: map[string]string{"x": expression, "y": "[input]"}})
		if c == nil {
			return
		}
		for _, input := range []string{
			`{"free":"\u2620'; \u2620","n":4,"word":"abc","names":["\u2620a","b\u2620","\u2620"],"obj":{"s":"\u2620","\u2620k":"\u2620","K":"\u2620"}}`,
			`{"free":"\u2620","n":1,"word":"a","names":["\u2620"],"obj":{"\u2620":"\u2620b"}}`,
		} {
			out, err := c.Arguments([]byte(input))
			if err != nil {
				continue
			}
			v, err := decodeExact(out)
			if err != nil {
				t.Fatalf("%s gives %s", expression, out)
			}
			ran++
			if s := mixed(v.(map[string]any)["x"]); s != "" {
				t.Fatalf("%s gives %q", expression, s)
			}
		}
	})
	f.Logf("%d evaluations", ran)
}
