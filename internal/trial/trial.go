// Package trial tries a policy without servers: it runs policy tests, explains one call, and
// replays a recorded audit file.
//
// A policy test is a YAML file beside the configuration: sequences of what the user says and
// what the agent calls, with the decision that is expected of each call. Which tools there are
// and what arguments they take is read from recorded lists:
//
//	servers: { shop: shop.tools.json }
//	tests:
//	  - name: small refunds pass
//	    steps:
//	      - { call: shop.refund, args: { order: 7, amount: 20 }, expect: allow }
//
//	suite, err := trial.Load("mcpfirewall_test.yaml")
//	p, err := trial.Open(cfg)
//	report, err := suite.Run(ctx, p, trial.Options{})
//
// The decisions are those of package rules, and what a session remembers is kept as the relay
// keeps it.
package trial

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
)

// A Suite is a file of policy tests.
type Suite struct {
	Path   string // as it was named
	Config string // the absolute path of the configuration that it names, or ""
	Tests  []Test

	file  suiteFile
	doc   *config.Document
	lists map[string]*toolList
}

// suiteFile is the file; the tags are those of package config.
type suiteFile struct {
	Config  string            `key:"config" as:"path"`
	Servers map[string]string `key:"servers" check:"lists"`
	Schemas string            `key:"schemas" enum:"required,none" default:"required"`
	Tests   []Test            `key:"tests" opt:"required"`
}

// A Test is a sequence of steps in a world of its own: nothing was said, seen or counted
// before.
type Test struct {
	Name    string         `key:"name" check:"line" opt:"required,nonempty"`
	User    string         `key:"user" default:"user" opt:"nonempty"`
	Groups  []string       `key:"groups"`
	Claims  jsontext.Value `key:"claims"`
	Client  string         `key:"client"`
	Session string         `key:"session" default:"session" opt:"nonempty"`
	At      string         `key:"at" opt:"nonempty"`
	Steps   []Step         `key:"steps" opt:"required"`
}

// A Step is something that the user says, or a call of the agent.
type Step struct {
	Prompt string         `key:"prompt" opt:"nonempty"`
	Call   string         `key:"call" check:"tool"` // server.tool
	Args   jsontext.Value `key:"args" with:"call"`

	Expect   string         `key:"expect" enum:"allow,ask,deny" with:"call"`
	Rule     string         `key:"rule" with:"call" opt:"nonempty"`           // what has to have decided
	Hidden   bool           `key:"hidden" with:"call"`                        // the tool is not offered at all
	Approved bool           `key:"approved" with:"call"`                      // a person says yes where one is asked
	Result   jsontext.Value `key:"result" with:"call"`                        // what comes back: a text, or JSON
	Error    bool           `key:"error" with:"call"`                         // the result says that it is an error
	Relayed  string         `key:"relayed" enum:"allow,ask,deny" with:"call"` // what becomes of the result

	At      string        `key:"at" opt:"nonempty"`
	After   time.Duration `key:"after" min:"1ms" max:"9000h"`
	User    string        `key:"user" opt:"nonempty"`
	Session string        `key:"session" opt:"nonempty"`
}

// maxFile bounds the files that are read, in bytes.
const maxFile = 16 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, err
}

// Load reads a file of tests, and the lists of tools that it names. What is wrong in it is an
// error of type [config.Problems].
func Load(path string) (*Suite, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the tests: %w", err)
	}
	s := &Suite{Path: path, lists: map[string]*toolList{}}
	if s.doc, err = config.Decode(path, data, &s.file); err != nil {
		return nil, err
	}
	s.Config, s.Tests = s.file.Config, s.file.Tests
	var problems config.Problems
	fail := func(at, suggestion, format string, args ...any) {
		problems = append(problems, s.doc.Problem(at, 0, fmt.Sprintf(format, args...), suggestion))
	}
	for server, name := range s.file.Servers {
		at := "servers." + server
		full, err := s.doc.Resolve(name)
		if err == nil {
			s.lists[server], err = readList(full)
		}
		if err != nil {
			fail(at, "", "the list of tools cannot be used: %v", err)
		}
	}
	if len(s.Tests) == 0 {
		fail("tests", "", "there are no tests")
	}
	names := map[string]bool{}
	for i := range s.Tests {
		at := fmt.Sprintf("tests[%d]", i)
		t := &s.Tests[i]
		if names[t.Name] {
			fail(at+".name", "", "another test has this name")
		}
		names[t.Name] = true
		if len(t.Steps) == 0 {
			fail(at+".steps", "", "there are no steps")
		}
		if _, err := parseAt(t.At, time.Time{}); err != nil {
			fail(at+".at", "", "%v", err)
		}
		if len(t.Claims) > 0 && t.Claims[0] != '{' {
			fail(at+".claims", "", "claims are a mapping (key: value)")
		}
		for j := range t.Steps {
			s.checkStep(fmt.Sprintf("%s.steps[%d]", at, j), &t.Steps[j], fail)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return s, nil
}

// Beside is the configuration that a file of tests belongs to by its name: policy.yaml beside
// policy_test.yaml. It is "" if there is none.
func (s *Suite) Beside() string {
	name, ok := strings.CutSuffix(s.Path, "_test.yaml")
	if !ok {
		return ""
	}
	path, err := filepath.Abs(name + ".yaml")
	if err != nil {
		return ""
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return path
}

// checkStep reports what makes no sense in a step, and so would test nothing.
func (s *Suite) checkStep(at string, step *Step, fail func(at, suggestion, format string, args ...any)) {
	has := func(key string) bool { return s.doc.Has(at + "." + key) }
	if _, err := parseAt(step.At, time.Time{}); err != nil {
		fail(at+".at", "", "%v", err)
	}
	if has("at") && has("after") {
		fail(at+".after", "", "at and after both set the clock: one of them does")
	}
	if !has("call") {
		for _, key := range []string{"args", "expect", "rule", "hidden", "approved", "result", "error", "relayed"} {
			if has(key) {
				fail(at+"."+key, "", "%s makes sense only with call", key)
			}
		}
		if !has("prompt") && !has("at") && !has("after") {
			fail(at, "", "a step has a prompt (what the user says) or a call (of the agent), or sets the clock")
		}
		return
	}
	if has("prompt") {
		fail(at+".prompt", "", "a step has a prompt or a call, not both: make two of it")
	}
	if len(step.Args) > 0 && step.Args[0] != '{' {
		fail(at+".args", "", "args are a mapping (name: value)")
	}
	if step.Hidden {
		for _, key := range []string{"args", "expect", "rule", "approved", "result", "error", "relayed"} {
			if has(key) {
				fail(at+"."+key, "", "a tool that is hidden cannot be called, so %s makes no sense with hidden", key)
			}
		}
		return
	}
	switch {
	case !has("expect"):
		fail(at+".call", "expect: allow", "the call needs the decision that is expected of it")
	case step.Approved && step.Expect != "ask":
		fail(at+".approved", "", "nobody is asked about a call that is expected to be %s", map[string]string{"allow": "allowed", "deny": "denied"}[step.Expect])
	case has("result") && step.Expect == "deny", has("result") && step.Expect == "ask" && !step.Approved:
		fail(at+".result", "", "a call that is not made has no result")
	}
	for _, key := range []string{"error", "relayed"} {
		if has(key) && !has("result") {
			fail(at+"."+key, "", "%s makes sense only with result", key)
		}
	}
}

// clockLayouts are how a time is written. Times without a zone are in UTC.
var clockLayouts = []string{"2006-01-02 15:04", "2006-01-02 15:04:05", time.RFC3339, "2006-01-02T15:04"}

// parseAt reads a time, or one of the day: then it is the next moment, from now on, at which
// the clock shows it. No text is now.
func parseAt(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	for _, layout := range clockLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		day := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
		if day.Before(now) {
			day = day.AddDate(0, 0, 1)
		}
		return day, nil
	}
	return now, fmt.Errorf("it is a time such as \"10:00\" or \"2026-03-02 10:00\", in UTC")
}
