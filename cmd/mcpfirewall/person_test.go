package main

import (
	"context"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

func TestElicit(t *testing.T) {
	form := map[string]any{
		"properties": map[string]any{
			"age":   map[string]any{"type": "integer"},
			"agree": map[string]any{"type": "boolean", "title": "I agree", "description": "to it"},
			"level": map[string]any{"type": "string", "enum": []any{"low", "high"}},
			"note":  map[string]any{"type": "string"},
			"score": map[string]any{"type": "number"},
			"tags":  map[string]any{"type": "array"},
		},
		"required": []any{"age", "level"},
	}
	tests := []struct {
		name, typed string
		schema      any
		action      mcp.ElicitationResponseAction
		content     any
	}{
		{"yes", "y\n", nil, "accept", map[string]any{}},
		{"no", "n\n", nil, "decline", nil},
		{"anything else", "yes please\n", nil, "decline", nil},
		{"nothing", "\n", nil, "decline", nil},
		{"the end of the input", "", nil, "decline", nil},
		{"a form", "y\n7\ntrue\nhigh\nhello there\n1.5\na,b\n", form, "accept",
			map[string]any{"age": int64(7), "agree": true, "level": "high", "note": "hello there", "score": 1.5, "tags": []string{"a", "b"}}},
		{"only what is required", "y\n7\n\nlow\n\n\n\n", form, "accept", map[string]any{"age": int64(7), "level": "low"}},
		{"asked again for what does not fit", "y\nseven\n\n7\nmaybe\n\nmedium\nlow\n\nx\n\n\n", form, "accept", map[string]any{"age": int64(7), "level": "low"}},
		{"a form that is left", "y\n7\n", form, "cancel", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var q mcp.ElicitationRequest
			q.Params.Message, q.Params.RequestedSchema = "May I?", test.schema
			got, err := newPerson(strings.NewReader(test.typed), io.Discard).Elicit(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if got.Action != test.action || !reflect.DeepEqual(got.Content, test.content) {
				t.Errorf("%s %#v, want %s %#v", got.Action, got.Content, test.action, test.content)
			}
		})
	}
}

func TestElicitEnds(t *testing.T) {
	in, typing := io.Pipe() // a person who types nothing
	defer typing.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := newPerson(in, io.Discard).Elicit(ctx, mcp.ElicitationRequest{})
	if err != nil || got.Action != mcp.ElicitationResponseActionDecline {
		t.Errorf("after its end the question is answered with %v, %v", got, err)
	}
}

func TestElicitShowsNoControlCharacters(t *testing.T) {
	var out strings.Builder
	var q mcp.ElicitationRequest
	q.Params.Message, q.Params.URL = "Delete \u202eall\x1b[2J?", "https://example.com/\x07"
	if _, err := newPerson(strings.NewReader("n\n"), &out).Elicit(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\x07\u202e") || !strings.Contains(got, `\u{1b}`) || !strings.Contains(got, `\u{202e}`) {
		t.Errorf("shown as %q", got)
	}
}
