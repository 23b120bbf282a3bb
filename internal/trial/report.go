package trial

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Print writes the report as people read it, in the manner of go test; verbose names the
// tests that passed too.
func (r *Report) Print(w io.Writer, verbose bool) {
	for _, t := range r.Tests {
		switch {
		case len(t.Failures) > 0:
			fmt.Fprintf(w, "--- FAIL: %s\n", t.Name)
		case verbose:
			fmt.Fprintf(w, "--- PASS: %s\n", t.Name)
		}
		for _, f := range t.Failures {
			fmt.Fprintf(w, "    %s:%d: %s: expected %s, got %s\n", r.Path, f.Line, f.What, f.Expected, f.Got)
			if f.Message != "" {
				fmt.Fprintf(w, "        %s\n", oneLine(f.Message))
			}
			for _, line := range f.Why {
				fmt.Fprintf(w, "        %s\n", line)
			}
		}
	}
	switch n := r.Failed(); {
	case n > 0:
		fmt.Fprintf(w, "FAIL  %s  %d of %s failed\n", r.Path, n, count(len(r.Tests), "test"))
	case len(r.Tests) == 0:
		fmt.Fprintf(w, "ok    %s  no tests to run\n", r.Path)
	default:
		fmt.Fprintf(w, "ok    %s  %s\n", r.Path, count(len(r.Tests), "test"))
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Print writes how much of the policy was reached, and with details what was not.
func (c *Coverage) Print(w io.Writer, details bool) {
	reached := 0
	for _, item := range c.items {
		if item.Reached {
			reached++
		}
	}
	fmt.Fprintf(w, "coverage: %.1f%% of the policy (%d of %d patterns, rules, limits, narrowed tools and presets)\n", c.Percent(), reached, len(c.items))
	if !details {
		return
	}
	for _, item := range c.items {
		if !item.Reached {
			fmt.Fprintf(w, "  %s:%d: %s %s\n", filepath.Base(item.File), item.Line, item.title(), item.Missing())
		}
	}
}

func (i *CoverItem) title() string {
	if i.Kind == "pattern" {
		section, pattern, _ := strings.Cut(i.Name, ": ")
		return fmt.Sprintf("%s %q", section, pattern)
	}
	return fmt.Sprintf("%s %q", i.Kind, i.Name)
}

// ReportJSON is what `mcpfirewall test --json` prints.
type ReportJSON struct {
	Passed   bool           `json:"passed"`
	Files    []FileJSON     `json:"files"`
	Coverage []CoverageJSON `json:"coverage"`
}

// FileJSON is one file of tests.
type FileJSON struct {
	File  string     `json:"file"`
	Tests []TestJSON `json:"tests"`
}

// TestJSON is one test.
type TestJSON struct {
	Name     string        `json:"name"`
	Line     int           `json:"line"`
	Passed   bool          `json:"passed"`
	Failures []FailureJSON `json:"failures"`
}

// FailureJSON is a step that failed.
type FailureJSON struct {
	Line        int      `json:"line"`
	What        string   `json:"what"`
	Expected    string   `json:"expected"`
	Got         string   `json:"got"`
	Rule        string   `json:"rule,omitzero"`
	Message     string   `json:"message,omitzero"`
	Explanation []string `json:"explanation"`
}

// CoverageJSON is how much of one configuration was reached.
type CoverageJSON struct {
	Config  string        `json:"config"`
	Percent float64       `json:"percent"`
	Missing []MissingJSON `json:"missing"`
}

// MissingJSON is what was not reached.
type MissingJSON struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	File string `json:"file"`
	Line int    `json:"line"`
	Why  string `json:"why"`
}

// JSON is the report for programs.
func (r *Report) JSON() FileJSON {
	out := FileJSON{File: r.Path, Tests: []TestJSON{}}
	for _, t := range r.Tests {
		j := TestJSON{Name: t.Name, Line: t.Line, Passed: len(t.Failures) == 0, Failures: []FailureJSON{}}
		for _, f := range t.Failures {
			why := append([]string{}, f.Why...)
			j.Failures = append(j.Failures, FailureJSON{f.Line, f.What, f.Expected, f.Got, f.Rule, f.Message, why})
		}
		out.Tests = append(out.Tests, j)
	}
	return out
}

// JSON is the coverage for programs.
func (c *Coverage) JSON(path string) CoverageJSON {
	out := CoverageJSON{Config: path, Percent: c.Percent(), Missing: []MissingJSON{}}
	for _, i := range c.items {
		if !i.Reached {
			out.Missing = append(out.Missing, MissingJSON{i.Kind, i.Name, i.File, i.Line, i.Missing()})
		}
	}
	return out
}
