package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// Sizes of the required part of the suite, per revision of the protocol. 2025-06-18 has no requirement set, so there it
// is every scenario that applies.
var required = map[string]int{"2025-06-18": 27, "2025-11-25": 30, "2026-07-28": 37}

// suiteResult is what the official suite found: each scenario, by name.
type suiteResult map[string]*scenario

type scenario struct {
	scored bool              // required by the revision; the others are extensions and later additions
	checks map[string]string // the status of each check: SUCCESS, FAILURE, WARNING, SKIPPED, INFO; the worst of those of one id
	errors map[string]string // what each check says about itself
}

func (s *scenario) failed() bool {
	return slices.Contains(slices.Collect(maps.Values(s.checks)), "FAILURE")
}

// passed counts the required scenarios, and those of them in which nothing failed.
func (r suiteResult) passed() (passed, of int) {
	for _, s := range r {
		if s.scored {
			of++
			if !s.failed() {
				passed++
			}
		}
	}
	return passed, of
}

var (
	summaryLine    = regexp.MustCompile(`(?m)^[✓✗] (\S+): \d+ passed, \d+ failed\r?$`)
	notScoredLine  = regexp.MustCompile(`(?m)^\s+[✓✗] (\S+) \((?:extension|added-after-release|pending|not scored)\)\r?$`)
	resultsFolder  = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$`)
	statusSeverity = []string{"SUCCESS", "INFO", "SKIPPED", "WARNING", "FAILURE"}
)

// suite runs the official suite with these arguments and returns what it printed.
func suite(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	main := npm(t, "conformance", "@modelcontextprotocol", "conformance", "dist", "index.js")
	cmd := exec.CommandContext(ctx, node22(t), append([]string{main}, args...)...)
	cmd.WaitDelay = 10 * time.Second
	log, err := cmd.CombinedOutput() // It ends with 1 when anything failed, which the results say better.
	if ctx.Err() != nil {
		t.Fatalf("the suite did not end: %v\n%s", err, log)
	}
	return string(log)
}

// runServerSuite runs the server half of one revision against the endpoint. The suite runs its scenarios one after the
// other, and so do we run the suite, because the scenarios fail by their time limits under load.
func runServerSuite(t *testing.T, revision, endpoint string) suiteResult {
	t.Helper()
	out := t.TempDir()
	args := []string{"server", "--url", endpoint, "--timeout", scenarioTimeout, "-o", out}
	if revision == "2025-06-18" {
		args = append(args, "--suite", "all", "--spec-version", revision)
	} else {
		args = append(args, "--requirements", revision)
	}
	log := suite(t, args...)
	result, err := readResults(log, out)
	if err != nil {
		t.Fatalf("%v; the suite printed:\n%s", err, log)
	}
	return result
}

// runClientScenario runs one scenario of the client half with the command as the client. The revision of an extension
// is "".
func runClientScenario(t *testing.T, revision, name, command string) *scenario {
	t.Helper()
	out := t.TempDir()
	args := []string{"client", "--command", command, "--scenario", name, "--timeout", scenarioTimeout, "-o", out}
	if revision != "" {
		args = append(args, "--spec-version", revision)
	}
	log := suite(t, args...)
	files, err := filepath.Glob(filepath.Join(out, "*", "checks.json"))
	if strings.Contains(name, "/") {
		files, err = filepath.Glob(filepath.Join(out, "*", "*", "checks.json"))
	}
	if err != nil || len(files) != 1 {
		t.Fatalf("%d results (%v); the suite printed:\n%s", len(files), err, log)
	}
	s := &scenario{scored: true}
	if err := s.read(files[0]); err != nil {
		t.Fatal(err)
	}
	if stderr, err := os.ReadFile(filepath.Join(filepath.Dir(files[0]), "stderr.txt")); err == nil {
		checkRaces(t, "mcpfirewall", string(stderr))
		t.Logf("standard error of the client:\n%s", stderr)
	}
	return s
}

// scenarioTimeout is the time limit of a scenario, in milliseconds: twice the suite's own, for slow machines.
const scenarioTimeout = "60000"

// readResults reads the suite's summary, which says what ran and what of it is required, and the checks of each scenario
// from the folder that it wrote.
func readResults(log, dir string) (suiteResult, error) {
	result := suiteResult{}
	for _, m := range summaryLine.FindAllStringSubmatch(log, -1) {
		result[m[1]] = &scenario{scored: true}
	}
	for _, m := range notScoredLine.FindAllStringSubmatch(log, -1) {
		if result[m[1]] == nil {
			return nil, fmt.Errorf("%s is reported as not scored, but not in the summary", m[1])
		}
		result[m[1]].scored = false
	}
	if len(result) == 0 {
		return nil, fmt.Errorf("the suite printed no summary")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		folder := filepath.Base(filepath.Dir(file))
		m := resultsFolder.FindStringSubmatch(folder)
		if m == nil || result[m[1]] == nil {
			return nil, fmt.Errorf("the results folder %s belongs to no scenario of the summary", folder)
		}
		if err := result[m[1]].read(file); err != nil {
			return nil, fmt.Errorf("%s: %w", m[1], err)
		}
	}
	for name, s := range result {
		if s.checks == nil {
			return nil, fmt.Errorf("%s is in the summary, but has no results", name)
		}
	}
	return result, nil
}

// read reads the checks of a scenario as the suite wrote them.
func (s *scenario) read(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var checks []struct {
		ID           string         `json:"id"`
		Status       string         `json:"status"`
		ErrorMessage string         `json:"errorMessage"`
		Details      jsontext.Value `json:"details"`
	}
	if err := json.Unmarshal(data, &checks); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	s.checks, s.errors = map[string]string{}, map[string]string{}
	for _, c := range checks {
		if !slices.Contains(statusSeverity, c.Status) {
			return fmt.Errorf("check %s has the unknown status %q", c.ID, c.Status)
		}
		if old, ok := s.checks[c.ID]; !ok || slices.Index(statusSeverity, c.Status) > slices.Index(statusSeverity, old) {
			c.Details.Compact()
			s.checks[c.ID] = c.Status
			s.errors[c.ID] = strings.TrimSpace(c.ErrorMessage + " " + string(c.Details[:min(len(c.Details), 1000)]))
		}
	}
	return nil
}

// finding is a check that ended otherwise than it does without the firewall, or that failed.
type finding struct {
	scenario, check, message string
}

// compare returns what result lost against the baseline: checks that succeed there and do not here, and checks that fail
// here and do not there. INFO is as good as SUCCESS: the suite so marks what the specification leaves open, such as
// answering with JSON instead of a stream. What is not required and fails in the baseline says nothing about us.
func compare(result, baseline suiteResult) []finding {
	var lost []finding
	for _, name := range slices.Sorted(maps.Keys(baseline)) {
		base, got := baseline[name], result[name]
		if !base.scored && base.failed() {
			continue
		}
		if got == nil {
			lost = append(lost, finding{name, "", "the scenario did not run"})
			continue
		}
		ids := slices.Collect(maps.Keys(base.checks))
		for id := range got.checks {
			if _, ok := base.checks[id]; !ok {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		for _, id := range ids {
			status := got.checks[id]
			if status == "" {
				status = "not reached"
			}
			if base.checks[id] == "SUCCESS" && status != "SUCCESS" && status != "INFO" || status == "FAILURE" && base.checks[id] != "FAILURE" {
				lost = append(lost, finding{name, id, strings.TrimSpace(status + " " + got.errors[id])})
			}
		}
	}
	return lost
}

// expectedFailure is an entry of test/conformance/expected-failures.yaml.
type expectedFailure struct {
	Runs     []string `yaml:"runs"`     // patterns over the names of runs, as path.Match reads them
	Scenario string   `yaml:"scenario"` // the scenario
	Checks   []string `yaml:"checks"`   // those of its checks that do not succeed
	Reason   string   `yaml:"reason"`   // why they cannot
	Timing   bool     `yaml:"timing"`   // whether they succeed now and then, because it is a matter of who is faster
}

func readExpectedFailures(t testing.TB) []expectedFailure {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "test", "conformance", "expected-failures.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []expectedFailure
	decoder := yaml.NewDecoder(f)
	decoder.KnownFields(true)
	if err := decoder.Decode(&entries); err != nil {
		t.Fatalf("reading %s: %v", f.Name(), err)
	}
	for _, e := range entries {
		if len(e.Runs) == 0 || e.Scenario == "" || len(e.Checks) == 0 || e.Reason == "" {
			t.Errorf("%s: an entry lacks one of runs, scenario, checks, reason: %+v", f.Name(), e)
		}
	}
	return entries
}

// match reports whether the entry is about the run.
func (e expectedFailure) match(run string) bool {
	return slices.ContainsFunc(e.Runs, func(pattern string) bool { ok, _ := path.Match(pattern, run); return ok })
}

// judge fails the test for what was found and not expected, and for what was expected and not found.
func judge(t *testing.T, run string, found []finding, expected []expectedFailure) {
	t.Helper()
	unexpected, stale := sift(run, found, expected)
	for _, line := range unexpected {
		t.Errorf("failed: %s", line)
	}
	for _, line := range stale {
		t.Errorf("passed, though expected-failures.yaml names it: %s", line)
	}
}

// sift holds findings against the expected failures of the run: it returns what was not expected, and what was expected
// and did not happen.
func sift(run string, found []finding, expected []expectedFailure) (unexpected, stale []string) {
	type key struct{ scenario, check string }
	open := map[key]bool{} // expected, and whether it was found or need not be
	for _, e := range expected {
		if e.match(run) {
			for _, check := range e.Checks {
				open[key{e.Scenario, check}] = e.Timing
			}
		}
	}
	for _, f := range found {
		k := key{f.scenario, f.check}
		if _, ok := open[k]; ok {
			open[k] = true
			continue
		}
		unexpected = append(unexpected, fmt.Sprintf("%s: %s: %s", f.scenario, f.check, f.message))
	}
	for k, seen := range open {
		if !seen {
			stale = append(stale, fmt.Sprintf("%s: %s", k.scenario, k.check))
		}
	}
	slices.Sort(stale)
	return unexpected, stale
}

// TestExpectedFailures checks the file itself: each of its patterns is about a run that there is.
func TestExpectedFailures(t *testing.T) {
	var runs []string
	for _, r := range conformanceRuns() {
		runs = append(runs, r.String())
	}
	for revision, names := range clientScenarios {
		for _, name := range names {
			runs = append(runs, clientRun(revision, name))
		}
	}
	for _, e := range readExpectedFailures(t) {
		for _, pattern := range e.Runs {
			if !slices.ContainsFunc(runs, expectedFailure{Runs: []string{pattern}}.match) {
				t.Errorf("%q matches no run", pattern)
			}
		}
	}
}

func TestSift(t *testing.T) {
	expected := []expectedFailure{
		{Runs: []string{"stdio-*/dual/2026-07-28"}, Scenario: "s", Checks: []string{"a", "b"}, Reason: "r"},
		{Runs: []string{"http-http/*/*"}, Scenario: "s", Checks: []string{"c"}, Reason: "r"},
		{Runs: []string{"direct-http/*/*"}, Scenario: "s", Checks: []string{"d"}, Reason: "r", Timing: true},
	}
	tests := []struct {
		run               string
		found             []finding
		unexpected, stale []string
	}{
		{"stdio-http/dual/2026-07-28", []finding{{"s", "a", "m"}, {"s", "b", "m"}}, nil, nil},
		{"stdio-http/dual/2026-07-28", []finding{{"s", "a", "m"}}, nil, []string{"s: b"}},
		{"stdio-http/dual/2026-07-28", []finding{{"s", "a", "m"}, {"s", "b", "m"}, {"s", "c", "m"}}, []string{"s: c: m"}, nil},
		{"stdio-http/dual/2025-11-25", []finding{{"s", "a", "m"}}, []string{"s: a: m"}, nil},
		{"http-http/dual/2025-11-25", nil, nil, []string{"s: c"}},
		{"direct-http/dual/2025-11-25", []finding{{"s", "d", "m"}}, nil, nil},
		{"direct-http/dual/2025-11-25", nil, nil, nil},
	}
	for _, test := range tests {
		unexpected, stale := sift(test.run, test.found, expected)
		if !slices.Equal(unexpected, test.unexpected) || !slices.Equal(stale, test.stale) {
			t.Errorf("%s %v: unexpected %q, stale %q, want %q, %q", test.run, test.found, unexpected, stale, test.unexpected, test.stale)
		}
	}
}

func TestReadResults(t *testing.T) {
	dir := t.TempDir()
	write := func(name, checks string) {
		folder := filepath.Join(dir, "server-"+name+"-2026-01-02T03-04-05-678Z")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "checks.json"), []byte(checks), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good", `[{"id":"x","status":"SUCCESS"},{"id":"y","status":"SUCCESS"}]`)
	write("bad", `[{"id":"x","status":"SUCCESS"},{"id":"x","status":"FAILURE","errorMessage":"m"},{"id":"x","status":"SUCCESS"}]`)
	write("extra", `[{"id":"x","status":"FAILURE"}]`)
	const log = "=== SUMMARY ===\n✓ good: 2 passed, 0 failed\n✗ bad: 2 passed, 1 failed\n✗ extra: 0 passed, 1 failed\n\nNot scored:\n  ✗ extra (pending)\n"
	result, err := readResults(log, dir)
	if err != nil {
		t.Fatal(err)
	}
	if passed, of := result.passed(); passed != 1 || of != 2 {
		t.Errorf("%d/%d passed, want 1/2", passed, of)
	}
	baseline := suiteResult{
		"good":  {scored: true, checks: map[string]string{"x": "SUCCESS", "z": "SUCCESS"}},
		"bad":   {scored: true, checks: map[string]string{"x": "SUCCESS"}},
		"gone":  {scored: true, checks: map[string]string{"x": "SUCCESS"}},
		"extra": {checks: map[string]string{"x": "FAILURE"}},
	}
	want := []finding{{"bad", "x", "FAILURE m"}, {"gone", "", "the scenario did not run"}, {"good", "z", "not reached"}}
	if got := compare(result, baseline); !slices.Equal(got, want) {
		t.Errorf("compare: %v, want %v", got, want)
	}
	for name, log := range map[string]string{
		"no summary":  "crashed",
		"no results":  log + "✓ other: 1 passed, 0 failed\n",
		"not in it":   "✓ good: 2 passed, 0 failed\n",
		"scored what": log + "  ✗ unknown (pending)\n",
	} {
		if result, err := readResults(log, dir); err == nil {
			t.Errorf("%s: read as %v", name, result)
		}
	}
}
