package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// The test binary is also the server and the relay, as the program itself is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

func newBench(t *testing.T) *bench {
	return &bench{options: options{quick: true}, dir: t.TempDir(), self: os.Args[0], progress: io.Discard}
}

// The instruments themselves: without a firewall every payload comes back, alone and among others.
func TestInstruments(t *testing.T) {
	b := newBench(t)
	for _, transport := range []string{"stdio", "http"} {
		for _, e := range []era{legacy, modern} {
			for _, name := range subjectNames[:2] {
				t.Run(transport+"/"+string(e)+"/"+name, func(t *testing.T) {
					s, err := b.subject(name, transport, e)
					if err != nil {
						t.Fatal(err)
					}
					if err := s.start(); err != nil {
						t.Fatal(err)
					}
					for _, size := range sizes {
						for range 3 {
							if _, err := s.echo(size.bytes, true); err != nil {
								t.Fatal(err)
							}
						}
					}
					if got, isError, err := s.say("a \"b\"\n"); got != "a \"b\"\n" || isError || err != nil {
						t.Errorf("say: %q, %v, %v", got, isError, err)
					}
					if err := s.together(320); err != nil {
						t.Error(err)
					}
					if err := s.end(); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// fixed answers every call alike.
type fixed string

func (f fixed) call(int64, []byte, bool) ([]byte, error) { return []byte(f), nil }
func (f fixed) notify([]byte) error                      { return nil }
func (f fixed) close() error                             { return nil }

func TestWrongAnswersAreFound(t *testing.T) {
	for name, answer := range map[string]string{
		"another text": `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"2 The quick brown fox"}]}}`,
		"an error":     `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no"}}`,
	} {
		if _, err := (&client{conn: fixed(answer), era: legacy}).echo(64, true); err == nil {
			t.Errorf("%s was taken for the answer", name)
		}
	}
	right := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + text(1, 40) + `"}]}}`
	if _, err := (&client{conn: fixed(right), era: legacy}).echo(40, true); err != nil {
		t.Errorf("the right answer: %v", err)
	}
	if err := (&client{conn: fixed(`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`), era: modern}).hello(); err == nil {
		t.Error("an error was taken for a first answer")
	}
}

func TestResponseID(t *testing.T) {
	for line, want := range map[string]int64{
		`{"jsonrpc":"2.0","id":17,"result":{}}`:                    17,
		`{"result":{},"id":18,"jsonrpc":"2.0"}`:                    18,
		`{"jsonrpc": "2.0", "id": 19, "error": {"code": 1}}`:       19,
		`{"jsonrpc":"2.0","method":"notifications/message"}`:       -1,
		`{"id":3,"jsonrpc":"2.0","method":"elicitation/create"}`:   -1,
		`{"jsonrpc":"2.0","method":"n","params":{"id":5,"x":"y"}}`: -1,
	} {
		got, err := responseID([]byte(line))
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%s: %d, %v, want %d", line, got, err, want)
		}
	}
}

func TestTargets(t *testing.T) {
	l := latencyRow{P50: [3]float64{10, 20, 30}, Target: 1.5}
	tp := throughputRow{PerSecond: [3]float64{300, 200, 120}, Target: 0.6}
	r := results{Latency: []latencyRow{l}, Throughput: []throughputRow{tp}, Memory: []memoryRow{{Resident: 29, Target: 30}}, Start: []startRow{{P50: 50, Target: 50}}}
	if !r.met() {
		t.Error("targets that are just met count as missed")
	}
	for name, miss := range map[string]func(*results){
		"latency":    func(r *results) { r.Latency[0].P50[2] = 31 },
		"throughput": func(r *results) { r.Throughput[0].PerSecond[2] = 119 },
		"memory":     func(r *results) { r.Memory[0].Resident = 30 },
		"start":      func(r *results) { r.Start[0].P50 = 51 },
	} {
		c := results{Latency: []latencyRow{l}, Throughput: []throughputRow{tp}, Memory: []memoryRow{{Resident: 29, Target: 30}}, Start: []startRow{{P50: 50, Target: 50}}}
		miss(&c)
		var out strings.Builder
		if err := c.writeText(&out); err != nil {
			t.Fatal(err)
		}
		if c.met() || strings.Count(out.String(), "FAIL") != 1 {
			t.Errorf("a missed target for %s is not shown:\n%s", name, out.String())
		}
	}
	if latencyTarget("http", 64) != 1.4 || latencyTarget("http", 1<<20) != 1.5 || latencyTarget("stdio", 64) != 1.5 {
		t.Error("the targets are other ones")
	}
	took := []time.Duration{5, 1, 4, 2, 3}
	if quantile(took, 0.5) != 3 || quantile(took, 1) != 5 || quantile(took, 0) != 1 {
		t.Error("quantile is wrong")
	}
}
