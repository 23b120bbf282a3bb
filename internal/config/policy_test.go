package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpfirewall/mcpfirewall/internal/preset"
)

func TestPolicy(t *testing.T) {
	home(t)
	cfg := parse(t, "f", `version: 1
tools:
  deny: ["*.x"]
  narrow:
    order_status:
      from: db.query
      title: Order status
      description: Status of one order.
      input:
        id: { type: integer, minimum: 1, maximum: 9007199254740993, multipleOf: 1.50 }
        state: { enum: [open, "no", 1, null, true], default: open }
        none: {}
      args: { sql: "'SELECT status FROM orders WHERE id = $1'", Params: "[input.id]" }
      output: result.json.rows[0].status
    a.b:
      from: db.query.x
      description: d
      input: { y: { default: 1 }, x: { properties: { pattern: { type: string } } } }
      required: [y]
rules:
  - { name: r, tools: ["*"], then: deny, on: result }
limits:
  - { name: refunds, tools: ["s.*"], when: args.a > 1, sum: args.a, max: 20000.50, per: 24h, by: session, then: ask, message: m }
  - { name: mails, tools: ["m.*"], max: "20", per: month, zone: UTC }
  - { name: days, tools: ["m.*"], max: 1, per: 366d }
labels:
  untrusted: ["web.*", "crm.get:result.notes.*.body"]
  private: ["docs.file:///srv/*"]
  external: [mail.send]
  trusted: ["crm.get_contact:result.email", "docs.note:results"]
  payroll: [hr.*]
`)
	wantNarrow := []Narrow{{
		Name: "a.b", From: "db.query.x", Description: "d",
		Input:    []Input{{"y", jsontext.Value(`{"default":1}`), jsontext.Value("1")}, {"x", jsontext.Value(`{"properties":{"pattern":{"type":"string"}}}`), nil}},
		Required: []string{"y"},
	}, {
		Name: "order_status", From: "db.query", Title: "Order status", Description: "Status of one order.",
		Input: []Input{
			{"id", jsontext.Value(`{"type":"integer","minimum":1,"maximum":9007199254740993,"multipleOf":1.50}`), nil},
			{"state", jsontext.Value(`{"enum":["open","no",1,null,true],"default":"open"}`), jsontext.Value(`"open"`)},
			{"none", jsontext.Value(`{}`), nil},
		},
		Required: []string{"id", "none"},
		Args:     map[string]string{"sql": "'SELECT status FROM orders WHERE id = $1'", "Params": "[input.id]"},
		Output:   "result.json.rows[0].status",
	}}
	if !reflect.DeepEqual(cfg.Tools.Narrow, wantNarrow) {
		t.Errorf("got  %s\nwant %s", cfg.Tools.Narrow, wantNarrow)
	}
	if cfg.Tools.Default != "deny" || cfg.Tools.Deny[0] != "*.x" || cfg.Rules[0].On != "result" {
		t.Errorf("got %+v, %+v", cfg.Tools.Patterns, cfg.Rules)
	}
	wantLimits := []Limit{
		{Name: "refunds", Tools: []string{"s.*"}, When: "args.a > 1", Sum: "args.a", Max: "20000.50", Per: Period{Window: 24 * time.Hour}, By: "session", Then: "ask", Message: "m"},
		{Name: "mails", Tools: []string{"m.*"}, Max: "20", Per: Period{Calendar: "month"}, By: "principal", Then: "deny", Zone: "UTC"},
		{Name: "days", Tools: []string{"m.*"}, Max: "1", Per: Period{Window: 366 * 24 * time.Hour}, By: "principal", Then: "deny"},
	}
	if !reflect.DeepEqual(cfg.Limits, wantLimits) {
		t.Errorf("got  %+v\nwant %+v", cfg.Limits, wantLimits)
	}
	var labels []string
	for name, patterns := range cfg.Labels.All() {
		for i, p := range patterns {
			labels = append(labels, fmt.Sprintf("%s[%d]=%s|%s", name, i, p.Pattern, p.Field))
		}
	}
	if got, want := strings.Join(labels, " "), "external[0]=mail.send| payroll[0]=hr.*| private[0]=docs.file:///srv/*| "+
		"trusted[0]=crm.get_contact|email trusted[1]=docs.note:results| untrusted[0]=web.*| untrusted[1]=crm.get|notes.*.body"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	for path, at := range map[string][2]int{
		"tools.narrow.order_status.args.sql":         {13, 21},
		"tools.narrow.order_status.input.id.minimum": {10, 39},
		"tools.narrow.order_status.input.state.x":    {11, 9},
		"limits[0].sum":         {23, 61},
		"limits[1]":             {24, 5},
		"labels.payroll[0]":     {31, 13},
		"labels.untrusted[1]":   {27, 25},
		"labels.trusted[9].any": {30, 3},
	} {
		if p := cfg.Problem(path, 0, "m", ""); p.Line != at[0] || p.Column != at[1] {
			t.Errorf("%s is at %d:%d, want %d:%d", path, p.Line, p.Column, at[0], at[1])
		}
	}
}

// TestUse checks that what presets add stands behind what the file has, under
// the name of the preset and with its place in it.
func TestUse(t *testing.T) {
	home(t)
	cfg := parse(t, "f", `version: 1
use: [trifecta, common-labels, readonly]
rules:
  - { name: mine, tools: ["*"], when: args.x > 1, then: deny }
labels: { private: [mine.*] }
`)
	var names []string
	for i, r := range cfg.Rules {
		names = append(names, r.Name)
		p := cfg.Problem(fmt.Sprintf("rules[%d].when", i), 2, "m", "")
		file := "f"
		if r.Preset != "" {
			file = "preset " + r.Preset
		}
		if p.File != file || !strings.Contains(r.When, strings.TrimSpace(p.Source)) && r.Preset != "readonly" && i > 0 {
			t.Errorf("%s: a problem at %s:%d: %s", r.Name, p.File, p.Line, p.Source)
		}
	}
	want := "mine|trifecta: private data does not leave unseen|trifecta: private data does not go where a stranger says|" +
		"readonly: changes need a person|readonly: names that speak of changes need a person"
	if got := strings.Join(names, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if p := cfg.Labels.Private; p[0] != (LabelPattern{Pattern: "mine.*"}) || p[1] != (LabelPattern{Pattern: "*mail*", Preset: "common-labels"}) {
		t.Errorf("private is %v", p[:2])
	}
	if p := cfg.Problem("labels.private[1]", 0, "m", ""); p.File != "preset common-labels" || !strings.Contains(p.Source, `"*mail*"`) {
		t.Errorf("its second pattern is at %s:%d: %s", p.File, p.Line, p.Source)
	}
	if p := cfg.Problem("labels.private[0]", 0, "m", ""); p.File != "f" || p.Line != 5 {
		t.Errorf("its first pattern is at %s:%d", p.File, p.Line)
	}
}

// TestPresetFiles holds what a preset may be.
func TestPresetFiles(t *testing.T) {
	home(t)
	for _, name := range preset.Names() {
		text, _ := preset.Text(name)
		if _, err := parsePreset(name, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for text, want := range map[string]string{
		"":                                   "preset p:1:1: the preset is empty",
		"[]":                                 "preset p:1:1: the preset must be a mapping (key: value), not a list",
		"version: 1\ntools: {}":              `preset p:2:1: unknown key "tools"`,
		"version: 1\nuse: [ssrf]":            `preset p:2:1: unknown key "use"`,
		"version: 1\nlabels: {trusted: [a]}": "preset p:2:10: labels.trusted would loosen what other rules decide, which no preset may",
		"version: 1\nrules: [{name: a, tools: [x], then: allow}]":                                 `preset p:2:37: rules[0].then is "allow"`,
		"version: 1\nrules: [{name: a, tools: [x], then: ask}, {name: a, tools: [x], then: ask}]": "preset p:2:50: rules[1].name must be unique",
		"version: 1\nlimits: [{name: a, tools: [x], max: 1.5, per: day}]":                         "preset p:2:37: limits[0].max must be a whole number",
		"version: 1\nrules: [{name: a, tools: [x], then: ask, when: 'a' b}]":                      "preset p:2:",
	} {
		_, err := parsePreset("p", text)
		var problems Problems
		if !errors.As(err, &problems) || !strings.HasPrefix(problems.Error(), want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}
