package pii

import (
	"bufio"
	"compress/gzip"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// shared returns a file of the measuring data, which is not in the repository.
func shared(t testing.TB, name string) string {
	dir := os.Getenv("MCPFIREWALL_SHARED")
	if dir == "" {
		t.Skip("MCPFIREWALL_SHARED is not set: the measuring data is not here")
	}
	return filepath.Join(dir, "data", name)
}

type sample struct {
	Text  string `json:"text"`
	Spans []struct {
		Type  string `json:"type"`
		Value string `json:"value"`
		Start int    `json:"start"` // in characters
	} `json:"spans"`
}

func samples(t *testing.T, name string) []sample {
	f, err := os.Open(shared(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []sample
	in := bufio.NewScanner(z)
	in.Buffer(nil, 1<<24)
	for in.Scan() {
		var s sample
		if err := json.Unmarshal(in.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := in.Err(); err != nil || len(all) == 0 {
		t.Fatal("no samples in", name, err)
	}
	return all
}

// TestQuality counts a span as found, and a find as right, if the two are of
// the same type and exactly the same bytes.
func TestQuality(t *testing.T) {
	types := map[string]string{"EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "CREDIT_CARD": "credit_card",
		"IBAN_CODE": "iban", "US_SSN": "ssn", "IP_ADDRESS": "ip"}
	type count struct{ spans, finds, right int }
	counts := map[string]*count{}
	at := func(k string) *count {
		if counts[k] == nil {
			counts[k] = &count{}
		}
		return counts[k]
	}
	d := detector(t, Options{})
	for _, s := range samples(t, "pii/synthetic.jsonl.gz") {
		finds, err := d.Append(nil, []byte(s.Text), time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		matched := make([]bool, len(finds))
		for _, span := range s.Spans {
			k, structured := types[span.Type]
			if !structured {
				k = span.Type
			}
			at(k).spans++
			hit := false
			for i, f := range finds {
				if f.Type == k && utf8.RuneCountInString(s.Text[:f.Start]) == span.Start && s.Text[f.Start:f.End] == span.Value {
					matched[i], hit = true, true
				}
			}
			if hit {
				at(k).right++
			} else if structured {
				t.Logf("missed %s %q in %q: %v", k, span.Value, s.Text, finds)
			}
		}
		for i, f := range finds {
			at(f.Type).finds++
			if !matched[i] {
				t.Logf("false %s %q in %q", f.Type, s.Text[f.Start:f.End], s.Text)
			}
		}
	}
	var keys []string
	for k := range counts {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var all count
	for _, k := range keys {
		c := counts[k]
		recall, precision := ratio(c.right, c.spans), ratio(c.right, c.finds)
		t.Logf("%-18s %3d spans, %3d finds, recall %.3f, precision %.3f", k, c.spans, c.finds, recall, precision)
		for _, name := range types {
			if name == k {
				all.spans, all.finds, all.right = all.spans+c.spans, all.finds+c.finds, all.right+c.right
				if recall < 0.95 || precision < 0.95 {
					t.Errorf("%s: recall %.3f, precision %.3f", k, recall, precision)
				}
			}
		}
	}
	t.Logf("structured types: %d spans, recall %.3f, precision %.3f", all.spans, ratio(all.right, all.spans), ratio(all.right, all.finds))
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

// TestFalseFinds counts the finds in the tool lists of real servers and in
// ordinary results. A find is true if the text around it says that it is what
// it was found to be, whoever wrote it (most of this data was made up): an
// e-mail address by its form, a number by a word just before it.
func TestFalseFinds(t *testing.T) {
	d := detector(t, Options{})
	files, err := filepath.Glob(shared(t, "mcp-servers/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no tool lists", err)
	}
	var lists, results []string
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lists = append(lists, string(raw))
	}
	for _, s := range samples(t, "injections/benign_results.jsonl.gz") {
		results = append(results, s.Text)
	}
	count(t, d, "tool lists", lists)
	count(t, d, "benign results", results)
}

var truth = map[string]*regexp.Regexp{
	"email":       regexp.MustCompile(`^\S{1,64}@[\w.-]+\.[a-z]{2,}$`),
	"phone":       regexp.MustCompile(`(?i)(phone|contact|call|tel|mobile|fax)[^\n]{0,30}$`),
	"credit_card": regexp.MustCompile(`(?i)card[^\n]{0,20}$`),
	"iban":        regexp.MustCompile(`(?i)(iban|recipient|sender|account|transaction to|from)[^\n]{0,20}$`),
	"ip":          regexp.MustCompile(`(?i)(ip|address|location|host)[^\n]{0,20}$`),
}

func count(t *testing.T, d *Detector, what string, texts []string) {
	size, all, wrong := 0, map[string]int{}, 0
	for _, text := range texts {
		size += len(text)
		finds, err := d.Append(nil, []byte(text), time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range finds {
			all[f.Type]++
			value := text[f.Start:f.End]
			if f.Type != "email" {
				value = text[max(0, f.Start-40):f.Start]
			}
			if re := truth[f.Type]; re == nil || !re.MatchString(value) {
				wrong++
				t.Logf("false: %s %q in %q", f.Type, text[f.Start:f.End], text[max(0, f.Start-40):min(len(text), f.End+20)])
			}
		}
	}
	t.Logf("%s: finds %v in %d KiB, %d of them false", what, all, size>>10, wrong)
	if wrong > size/(200<<10) {
		t.Errorf("%s: more than one false find per 200 KiB", what)
	}
}

func detector(t testing.TB, o Options) *Detector {
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
