package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func seeds(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}`,
		`{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"\ud83d\ude00 \ud83d"}]}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"x","data":[1e999,1E-5,-0,12345678901234567890]}}`,
		`{"jsonrpc":"2.0","method":"n","params":{"a":1,"\u0061":2,"A":3}}`,
		"{\"jsonrpc\":\"2.0\",\n\"method\":\"n\",\"\u212a\":[true,false,null],\"k\":{}}",
		`{"jsonrpc":"2.0","id":1,"method":"m","Method":"n"}`, `[]`, `[[[[{"a":[]}]]]]`, `"\u0000"`, "\ufeff{}", "{\"a\xff\":1}", "1.5e3", "-", `{"a"`, `{"a":"`, `"\ud800`, `"\u12`,
		`{"text":"` + strings.Repeat(`a long text with \n escapes `, 4) + `"}`, `{"x":"` + strings.Repeat("y", 40) + "\t" + `"}`, strings.Repeat("[", 130),
		strings.Repeat("9", 201) + "e99", `{` + manyNames(33) + `}`,
	} {
		f.Add([]byte(s))
	}
}

// Whatever comes: no panic, errors as promised, and what is accepted is read alike by
// encoding/json, the laxest reader around, and by jsontext, the strictest.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		original := bytes.Clone(raw)
		m, err := Parse(raw, Limits{})
		if err != nil {
			var e *ParseError
			if !errors.As(err, &e) || e.Code != CodeParse && e.Code != CodeInvalidRequest || e.Reason == "" {
				t.Fatalf("%q: %#v", original, err)
			}
			return
		}
		if bytes.ContainsAny(m.Raw, "\r\n") {
			t.Fatalf("%q is more than one line", m.Raw)
		}
		if !jsontext.Value(m.Raw).IsValid() {
			t.Fatalf("%q was accepted", m.Raw)
		}
		var lax struct {
			Version string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Method  string          `json:"method"`
			Params  json.RawMessage `json:"params"`
			Result  json.RawMessage `json:"result"`
			Error   json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(original, &lax); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", original, err)
		}
		if err := json.Unmarshal(m.Raw, &lax); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", m.Raw, err)
		}
		id := lax.ID
		if m.Kind == Failure && string(id) == "null" {
			id = nil
		}
		got := []string{"2.0", string(m.At(m.ID)), m.Method, string(m.At(m.Params)), string(m.At(m.Result)), string(m.At(m.Error))}
		want := []string{lax.Version, string(id), lax.Method, string(lax.Params), string(lax.Result), string(lax.Error)}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\ngot  %q\nwant %q", m.Raw, got, want)
		}
		if got, want := walked(m.Raw), reference(t, m.Raw); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\ngot  %q\nwant %q", m.Raw, got, want)
		}
		again, err := Parse(bytes.Clone(m.Raw), Limits{})
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%q is read differently the second time: %+v, %v", m.Raw, again, err)
		}
	})
}

// What the fast reader accepts jsontext accepts, and within the same bounds.
func FuzzPlain(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var o outline
		if !plain(raw, DefaultMaxDepth, &o) {
			return
		}
		if !jsontext.Value(raw).IsValid() {
			t.Fatalf("%q was accepted", raw)
		}
		d := jsontext.NewDecoder(bytes.NewReader(raw))
		for {
			token, err := d.ReadToken()
			if err != nil {
				break
			}
			if d.StackDepth() > DefaultMaxDepth {
				t.Fatalf("%q is too deep", raw)
			}
			if token.Kind() == '0' {
				if _, err := strconv.ParseFloat(token.String(), 64); err != nil {
					t.Fatalf("%q: %v", raw, err)
				}
			}
		}
		var members []member
		for n, v := range Members(raw, whole(raw)) {
			members = append(members, member{n, v})
		}
		if o.n != len(members) {
			t.Fatalf("%q: %d members, want %d", raw, o.n, len(members))
		}
		for i, m := range o.members[:min(o.n, len(o.members))] {
			if m != members[i] {
				t.Fatalf("%q: member %d at %v, want %v", raw, i, m, members[i])
			}
		}
	})
}

// With Repair no lone surrogate is left, and nothing else has changed.
func FuzzRepair(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		strict, strictErr := Parse(bytes.Clone(raw), Limits{})
		repaired, err := Parse(bytes.Clone(raw), Limits{Repair: true})
		if strictErr == nil && (err != nil || !bytes.Equal(strict.Raw, repaired.Raw)) {
			t.Fatalf("%q: repair changed what was right", raw)
		}
		if err != nil {
			return
		}
		var want, got any
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if err := json.Unmarshal(repaired.Raw, &got); err != nil {
			t.Fatalf("%q: %v", repaired.Raw, err)
		}
		if !reflect.DeepEqual(got, want) { // encoding/json itself reads a lone surrogate as U+FFFD
			t.Fatalf("%q became %q", raw, repaired.Raw)
		}
	})
}
