package provenance

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// TestTranscripts goes through what a well-behaved agent does in the recorded tasks and
// compares where its arguments were seen with where the recording says that they occur.
func TestTranscripts(t *testing.T) {
	shared := os.Getenv("MCPFIREWALL_SHARED")
	if shared == "" {
		t.Skip("MCPFIREWALL_SHARED is not set: no transcripts to compare with")
	}
	for _, suite := range []string{"banking", "slack"} {
		raw, err := os.ReadFile(filepath.Join(shared, "data", "agentdojo", "replay_benign_"+suite+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		found, due, extra := 0, 0, 0
		lines := bufio.NewScanner(bytes.NewReader(raw))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var task struct {
				ID     string `json:"user_task"`
				Prompt string `json:"prompt"`
				Steps  []struct {
					Args    jsontext.Value      `json:"args"`
					Result  string              `json:"result"`
					Sources map[string][]string `json:"arg_sources"`
				} `json:"steps"`
			}
			if err := json.Unmarshal(lines.Bytes(), &task); err != nil {
				t.Fatal(err)
			}
			m := New(Options{})
			m.Text(Observation{Source: "user"}, task.Prompt)
			for i, step := range task.Steps {
				var args map[string]any
				if err := json.Unmarshal(step.Args, &args); err != nil {
					t.Fatal(err)
				}
				for name, v := range args {
					o := m.Lookup(v)
					said := slices.Contains(step.Sources[name], "prompt")
					var want []string
					for _, s := range step.Sources[name] {
						want = append(want, strings.Replace(strings.Replace(s, "prompt", "user", 1), "result:", "s.", 1))
					}
					slices.Sort(want)
					if len(want) > 0 {
						due++
						if o.Seen {
							found++
						}
					} else if o.Seen {
						extra++
					}
					if o.Trusted != said || o.Seen != (len(want) > 0) {
						t.Logf("%s %s step %d %s=%#v: %v, recorded %v", suite, task.ID, i, name, v, o.Sources, want)
					}
				}
				m.Sent(step.Args)
				m.Text(Observation{Source: fmt.Sprintf("s.%d", i), Trust: Untrusted}, step.Result)
			}
		}
		t.Logf("%s: %d of %d arguments found that the recording finds, %d more", suite, found, due, extra)
		if found*100 < due*90 {
			t.Errorf("%s: only %d of %d arguments found", suite, found, due)
		}
	}
}
