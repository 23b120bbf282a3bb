package schema

import (
	"bytes"
	"slices"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

func TestDemands(t *testing.T) {
	s := Lazy([]byte(`{"type":"object","properties":{
		"mail":{"type":"string","format":"email"},
		"ids":{"type":"array","items":{"$ref":"#/$defs/id"}},
		"n":{"anyOf":[{"type":"integer","minimum":5,"maximum":99},{"type":"null"}]}},
		"additionalProperties":{"type":"string","maxLength":4},
		"$defs":{"id":{"type":"string","pattern":"^[0-9]{3}$"}}}`))
	raw := []byte(`{"x":{"mail":"a","ids":["123","4"],"n":7,"other":"é","b":true}}`)
	type want struct {
		value          string
		takes, refuses string
		formats        []string
		bounds         []string
	}
	wants := []want{
		{`"a"`, `"no address"`, `1`, []string{"email"}, nil},
		{`"123"`, `"999"`, `"abc"`, nil, nil},
		{`"4"`, `"999"`, `""`, nil, nil},
		{`7`, `99`, `"7"`, nil, []string{"5", "99"}},
		{`"é"`, `"abcd"`, `"abcde"`, nil, nil},
	}
	var asked []jsonrpc.Span
	for i := range raw {
		asked = append(asked, jsonrpc.Span{Start: i, End: i + 1})
	}
	at := jsonrpc.Find(raw, jsonrpc.Span{End: len(raw)}, "x")
	four := bytes.Index(raw, []byte("4"))
	if some := s.Demands(raw, at, []jsonrpc.Span{{Start: 0, End: 1}, {Start: four, End: four + 1}}); len(some) != 1 || some[0].Start != four-1 {
		t.Errorf("asked for one place: %v", some)
	}
	demands := s.Demands(raw, at, asked)
	if len(demands) != len(wants) {
		t.Fatalf("%d demands, want %d", len(demands), len(wants))
	}
	for i, w := range wants {
		d := &demands[i]
		if got := string(raw[d.Start:d.End]); got != w.value {
			t.Errorf("demand %d is of %s, want %s", i, got, w.value)
		}
		if !d.Takes([]byte(w.takes)) || d.Takes([]byte(w.refuses)) {
			t.Errorf("%s: takes %s: %v, takes %s: %v", w.value, w.takes, d.Takes([]byte(w.takes)), w.refuses, d.Takes([]byte(w.refuses)))
		}
		formats, bounds := d.Hints()
		if slices.Sort(bounds); !slices.Equal(formats, w.formats) || !slices.Equal(bounds, w.bounds) {
			t.Errorf("%s: formats %v and bounds %v, want %v and %v", w.value, formats, bounds, w.formats, w.bounds)
		}
	}
}
