package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// person asks somebody at a terminal what a server or the firewall wants to know. It is
// an elicitation handler of mcp-go.
type person struct {
	out   io.Writer
	lines chan string // closed at the end of the input
}

func newPerson(in io.Reader, out io.Writer) *person {
	p := &person{out: out, lines: make(chan string)}
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	return p
}

// Elicit shows the question, and asks for each field of the form.
func (p *person) Elicit(ctx context.Context, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	q := request.Params
	fmt.Fprintf(p.out, "\n%s\n", visible.Text(q.Message))
	if q.URL != "" {
		fmt.Fprintf(p.out, "Open this address yourself if you trust it: %s\n", visible.Text(q.URL))
	}
	if !p.yes(ctx) {
		return reply(mcp.ElicitationResponseActionDecline, nil), nil
	}
	schema, _ := q.RequestedSchema.(map[string]any)
	fields, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	content := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field, _ := fields[name].(map[string]any)
		value, given, ok := p.field(ctx, name, field, slices.Contains(required, any(name)))
		if !ok {
			return reply(mcp.ElicitationResponseActionCancel, nil), nil
		}
		if given {
			content[name] = value
		}
	}
	return reply(mcp.ElicitationResponseActionAccept, content), nil
}

func reply(action mcp.ElicitationResponseAction, content any) *mcp.ElicitationResult {
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{Action: action, Content: content}}
}

// yes asks for a yes. Everything else is a no.
func (p *person) yes(ctx context.Context) bool {
	line, ok := p.ask(ctx, "[y/N] ")
	return ok && strings.EqualFold(strings.TrimSpace(line), "y")
}

// ask shows a prompt and returns the line that is typed; false if none comes any more.
func (p *person) ask(ctx context.Context, prompt string) (string, bool) {
	fmt.Fprint(p.out, prompt)
	select {
	case line, ok := <-p.lines:
		return line, ok
	case <-ctx.Done():
		fmt.Fprintln(p.out)
		return "", false
	}
}

// field asks for one field of a form until what is typed fits it. An empty line leaves
// out a field that is not required.
func (p *person) field(ctx context.Context, name string, field map[string]any, required bool) (value any, given, ok bool) {
	title, _ := field["title"].(string)
	if title == "" {
		title = name
	}
	kind, _ := field["type"].(string)
	prompt := visible.Text(title)
	if text, _ := field["description"].(string); text != "" {
		prompt += " (" + visible.Text(text) + ")"
	}
	words := choices(field)
	switch {
	case len(words) > 0:
		prompt += " [" + visible.Text(strings.Join(words, "|")) + "]"
	case kind == "boolean":
		prompt += " [true|false]"
	}
	for {
		line, ok := p.ask(ctx, prompt+": ")
		if !ok {
			return nil, false, false
		}
		line = strings.TrimSpace(line)
		if line == "" && !required {
			return nil, false, true
		}
		value, err := typed(kind, line)
		if err == nil && len(words) > 0 && !slices.Contains(words, line) {
			err = fmt.Errorf("it is one of %s", strings.Join(words, ", "))
		}
		if err == nil {
			return value, true, true
		}
		fmt.Fprintln(p.out, visible.Text(err.Error()))
	}
}

// choices returns the values that a field is limited to, in either of the forms of
// 2025-11-25, client/elicitation.
func choices(field map[string]any) []string {
	var words []string
	values, _ := field["enum"].([]any)
	options, _ := field["oneOf"].([]any)
	for _, option := range options {
		if o, ok := option.(map[string]any); ok {
			values = append(values, o["const"])
		}
	}
	for _, v := range values {
		if s, ok := v.(string); ok {
			words = append(words, s)
		}
	}
	return words
}

// typed reads what was typed as a value of a JSON Schema type.
func typed(kind, line string) (any, error) {
	var value any = line
	var err error
	switch kind {
	case "boolean":
		value, err = strconv.ParseBool(line)
	case "integer":
		value, err = strconv.ParseInt(line, 10, 64)
	case "number":
		value, err = strconv.ParseFloat(line, 64)
	case "array":
		value = strings.Split(line, ",")
	}
	if err != nil {
		return nil, fmt.Errorf("it is no %s", kind)
	}
	return value, nil
}
