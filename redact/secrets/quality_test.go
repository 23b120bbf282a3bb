package secrets

import (
	"bufio"
	"compress/gzip"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// sharedData returns the folder of test data that is kept outside the project.
func sharedData(t *testing.T) string {
	dir := os.Getenv("MCPFIREWALL_SHARED")
	if dir == "" {
		t.Skip("MCPFIREWALL_SHARED is not set: the quality of the finds is not measured")
	}
	return filepath.Join(dir, "data")
}

type sample struct {
	Rule  string `json:"rule"`
	Label string `json:"label"`
	Text  string `json:"text"`
}

func samples(t *testing.T, path string) (out []sample) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Samples that are labelled as secrets and are none: gitleaks builds many of its
// samples from expressions and templates, whose source is what was collected.
var notSecret = regexp.MustCompile(`\[[^\]\s]+\]\{\d+(,\d*)?\}` + // an expression's source
	`|"type": "service_account"` + // the mark of a file, with no key
	`|Authorization: Basic \$BASIC_TOKEN"` + // a variable
	`|--user\\\n\t\t//"`) // a line of a Go comment, continued

func TestRuleSamples(t *testing.T) {
	data := sharedData(t)
	d, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var secrets, found, left, benign, false1, falseAny int
	for _, s := range samples(t, filepath.Join(data, "secrets", "rule_samples.jsonl.gz")) {
		finds, err := d.Append(nil, []byte(s.Text), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case s.Label != "secret":
			benign++
			own := false
			for _, f := range finds {
				own = own || f.Rule == s.Rule
				t.Logf("benign for %s, found by %s: %.100q", s.Rule, f.Rule, s.Text)
			}
			if own {
				false1++
			}
			if len(finds) > 0 {
				falseAny++
			}
		case len(finds) > 0:
			secrets++
			found++
		case notSecret.MatchString(s.Text):
			left++
		default:
			secrets++
			t.Logf("missed, rule %s: %.100q", s.Rule, s.Text)
		}
	}
	recall := float64(found) / float64(secrets)
	t.Logf("recall %.3f of %d secrets (%d samples hold none); of %d benign samples %d found by the rule that they are benign for, %d by any rule",
		recall, secrets, left, benign, false1, falseAny)
	if recall < 0.98 {
		t.Errorf("recall %.3f, want 0.98", recall)
	}
	// A sample is benign for the rule that it is a sample of; that another rule finds
	// something, such as a JWT in one for Basic, is no mistake. Yet keep it rare.
	if false1*100 > benign || falseAny*100 > 5*benign {
		t.Errorf("%d and %d finds in %d benign samples", false1, falseAny, benign)
	}
}

var isPassword = regexp.MustCompile(`(?i)password['"]: ['"]$`)

func TestOrdinaryTexts(t *testing.T) {
	data := sharedData(t)
	d, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string][][]byte{}
	files, err := filepath.Glob(filepath.Join(data, "mcp-servers", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts["tool lists"] = append(texts["tool lists"], text)
	}
	for _, s := range samples(t, filepath.Join(data, "injections", "benign_results.jsonl.gz")) {
		texts["benign results"] = append(texts["benign results"], []byte(s.Text))
	}
	for name, all := range texts {
		size, n, passwords := 0, 0, 0
		for _, text := range all {
			finds, err := d.Append(nil, text, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			size += len(text)
			for _, f := range finds {
				// Some results are a password manager's, and no false finds.
				if isPassword.Match(text[max(0, f.Start-20):f.Start]) {
					passwords++
					continue
				}
				n++
				t.Logf("%s: %s: %.60q", name, f.Rule, text[f.Start:f.End])
			}
		}
		t.Logf("%s: %d false finds in %d KiB, beside %d passwords in listings of passwords", name, n, size>>10, passwords)
		if n > size/(200<<10) {
			t.Errorf("%s: %d finds in %d KiB, want at most one per 200 KiB", name, n, size>>10)
		}
	}
}
