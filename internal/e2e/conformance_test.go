package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/mcpfirewall/mcpfirewall/internal/e2e/bridge"
	"github.com/mcpfirewall/mcpfirewall/internal/e2e/era"
)

// run is one way of running the server half of the suite.
type run struct {
	path     string // direct-http, direct-stdio, or DOWNSTREAM-UPSTREAM
	server   string // dual, modern-only, legacy-only
	revision string
}

func (r run) String() string { return r.path + "/" + r.server + "/" + r.revision }

func (r run) downstream() string { d, _, _ := strings.Cut(r.path, "-"); return d }
func (r run) upstream() string   { _, u, _ := strings.Cut(r.path, "-"); return u }
func (r run) modern() bool       { return r.revision >= "2026" }

// conformanceRuns is the whole matrix: first the reference server alone, then each pair of transports in each era, then
// each pair of transports across the eras.
func conformanceRuns() []run {
	var runs []run
	for _, revision := range []string{"2025-06-18", "2025-11-25", "2026-07-28"} {
		for _, path := range []string{"direct-http", "direct-stdio", "http-http", "stdio-stdio", "http-stdio", "stdio-http"} {
			runs = append(runs, run{path, "dual", revision})
			if !strings.HasPrefix(path, "direct-") {
				other := map[bool]era.Era{true: era.LegacyOnly, false: era.ModernOnly}[revision >= "2026"]
				runs = append(runs, run{path, string(other), revision})
			}
		}
	}
	return runs
}

// TestConformance runs the official suite through the firewall, between every pair of transports and eras, and holds it
// against the same suite on the same server without the firewall.
func TestConformance(t *testing.T) {
	reference(t)
	expected := readExpectedFailures(t)
	runs := conformanceRuns()
	baseline := map[string]suiteResult{}
	for _, r := range runs {
		if baseline[r.revision] == nil {
			baseline[r.revision] = referenceAlone(t, r.revision)
		}
		t.Run(r.String(), func(t *testing.T) {
			result := baseline[r.revision]
			if r.path != "direct-http" {
				result = runServerSuite(t, r.revision, r.endpoint(t))
			}
			passed, of := result.passed()
			report("conformance %s: %d/%d", r, passed, of)
			if of != required[r.revision] {
				t.Errorf("%d required scenarios ran, want %d", of, required[r.revision])
			}
			judge(t, r.String(), compare(result, baseline[r.revision]), expected)
		})
	}
}

// referenceAlone is what the suite finds on the reference server with nothing in between. Everything that is required
// passes there, or there is nothing to hold the firewall against.
func referenceAlone(t *testing.T, revision string) suiteResult {
	t.Helper()
	r := run{"direct-http", "dual", revision}
	result := runServerSuite(t, revision, startReference(t, r.modern())+"/mcp")
	if passed, _ := result.passed(); passed != required[revision] {
		t.Fatalf("the reference server passes %d of the %d required scenarios of %s without the firewall", passed, required[revision], revision)
	}
	return result
}

// endpoint starts what the run is about, and returns the URL that the suite is pointed at.
func (r run) endpoint(t *testing.T) string {
	t.Helper()
	if r.path == "direct-stdio" {
		return startBridge(t, []string{reference(t)})
	}
	config := r.config(t)
	if r.downstream() == "stdio" {
		return startBridge(t, []string{firewall(t), "run", "--config", config})
	}
	return serve(t, config) + "/mcp"
}

// config derives the run's configuration from the committed one.
func (r run) config(t *testing.T) string {
	t.Helper()
	if r.upstream() == "http" {
		return conformanceConfig(t, func(server object) { server["url"] = r.httpUpstream(t) })
	}
	command := []string{reference(t)}
	if r.server != "dual" {
		command = append([]string{self(t), "era", r.server}, command...)
	}
	return conformanceConfig(t, func(server object) {
		delete(server, "url")
		server["command"], server["args"] = command[0], command[1:]
	})
}

// conformanceConfig writes the committed configuration with another server in it.
func conformanceConfig(t *testing.T, replace func(server object)) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "test", "conformance", "mcpfirewall.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config object
	if err := yaml.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	replace(config["servers"].(object)["reference"].(object))
	out, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return writeConfig(t, string(out))
}

// httpUpstream starts the reference server over HTTP, left with the run's eras, and returns its endpoint.
func (r run) httpUpstream(t *testing.T) string {
	t.Helper()
	modern := r.modern() && r.server == "dual" || r.server == string(era.ModernOnly)
	base := startReference(t, modern)
	if r.server == "dual" {
		return base + "/mcp"
	}
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
		FlushInterval: -1,                         // streams are passed on as they come
		ErrorLog:      log.New(io.Discard, "", 0), // clients may go away
	}
	front := httptest.NewServer(era.Era(r.server).Handler(proxy))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	return front.URL + "/mcp"
}

// startReference starts the reference server over HTTP and returns its base URL. It serves both eras, but legacy ones
// completely only with sessions, and modern ones completely only without.
func startReference(t *testing.T, stateless bool) string {
	t.Helper()
	address := freeAddress(t)
	cmd := exec.Command(reference(t), "-http="+address, fmt.Sprintf("-stateless=%t", stateless))
	start(t, cmd).waitForPort(t, address)
	return "http://" + address
}

// startBridge puts a stdio command on HTTP and returns its endpoint.
func startBridge(t *testing.T, command []string) string {
	t.Helper()
	stderr := newOutput()
	b := &bridge.Bridge{Command: command, Env: environ(t), Stderr: stderr}
	front := httptest.NewServer(b)
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
		b.Close()
		checkRaces(t, command[0], stderr.String())
		if t.Failed() {
			t.Logf("standard error of %s:\n%s", filepath.Base(command[0]), stderr.tail(6000))
		}
	})
	return front.URL + "/mcp"
}

// clientScenarios are the scenarios of the suite's client half in which what is tested is the firewall's way of being a
// client: the suite's server sees what the firewall sends it. Those of auth/ are in
// oauthScenarios.
var clientScenarios = map[string][]string{
	"2025-06-18": {"initialize", "tools_call"},
	"2025-11-25": {"initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry", "json-schema-2020-12-preservation"},
	"2026-07-28": {"tools_call", "request-metadata", "sep-2322-client-request-state", "http-standard-headers", "http-custom-headers",
		"http-invalid-tool-headers", "json-schema-ref-no-deref", "json-schema-2020-12-preservation"},
}

// TestConformanceClient runs the client half of the suite with a client of the TypeScript SDK behind which the firewall
// stands, and holds it against the same client alone.
func TestConformanceClient(t *testing.T) {
	expected := readExpectedFailures(t)
	alone := node22(t) + " " + filepath.Join(driverDir(t), "suite.mjs")
	for _, revision := range slices.Sorted(maps.Keys(clientScenarios)) {
		t.Run(revision, func(t *testing.T) {
			for _, name := range clientScenarios[revision] {
				t.Run(name, func(t *testing.T) {
					baseline := suiteResult{name: runClientScenario(t, revision, name, alone)}
					if baseline[name].failed() {
						t.Fatalf("the client alone fails: %v %v", baseline[name].checks, baseline[name].errors)
					}
					config := conformanceConfig(t, func(server object) { server["url"] = suiteURL })
					command := strings.Join([]string{self(t), "suite-client", firewall(t), config, alone}, " ")
					result := suiteResult{name: runClientScenario(t, revision, name, command)}
					judge(t, clientRun(revision, name), compare(result, baseline), expected)
				})
			}
		})
	}
}

func clientRun(revision, name string) string { return "client/" + name + "/" + revision }

// suiteURL stands in the configuration for the address that the suite gives the client.
const suiteURL = "http://127.0.0.1:1/suite"

// suiteClient is the client that the suite starts: it puts the firewall in front of the suite's server, whose URL is the
// last argument, and runs the client behind it. The arguments are the firewall, its configuration, and the client's
// command. It returns the exit status.
func suiteClient(args []string) int {
	firewall, config, client, url := args[0], args[1], args[2:len(args)-1], args[len(args)-1]
	fail := func(err error) int { fmt.Fprintln(os.Stderr, "suite-client:", err); return 1 }
	text, err := os.ReadFile(config)
	if err != nil {
		return fail(err)
	}
	own := config + ".suite.yaml"
	if err := os.WriteFile(own, bytes.ReplaceAll(text, []byte(suiteURL), []byte(url)), 0o600); err != nil {
		return fail(err)
	}
	cmd := exec.Command(firewall, "serve", "--config", own, "--listen", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fail(err)
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	endpoint := ""
	lines := bufio.NewReader(stderr)
	for endpoint == "" {
		line, err := lines.ReadString('\n')
		io.WriteString(os.Stderr, line)
		if m := listening.FindStringSubmatch(line); m != nil {
			endpoint = m[1] + "/mcp"
		} else if err != nil {
			cmd.Wait()
			return fail(fmt.Errorf("the firewall does not listen: %w", err))
		}
	}
	copied := make(chan struct{})
	go func() {
		io.Copy(os.Stderr, lines)
		close(copied)
	}()
	node := exec.Command(client[0], append(client[1:], endpoint)...)
	node.Stdout, node.Stderr = os.Stdout, os.Stderr
	failed := node.Run()
	cmd.Process.Signal(syscall.SIGTERM)
	<-copied
	if err := errors.Join(failed, cmd.Wait()); err != nil {
		return fail(err)
	}
	return 0
}
