package era

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	discover   = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	modernCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`
	legacyCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`
	notice     = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	response   = `{"jsonrpc":"2.0","id":1,"result":{}}`
)

var tests = []struct {
	name, message  string
	modern, legacy string // the code with which a modern-only and a legacy-only server refuses it, "" where it does not
}{
	{"discover", discover, "", "-32601"},
	{"modern call", modernCall, "", "-32600"},
	{"initialize", initialize, "-32022", ""},
	{"legacy call", legacyCall, "-32602", ""},
	{"notification", notice, "", ""},
	{"response", response, "", ""},
}

func TestHandler(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	for _, test := range tests {
		for era, code := range map[Era]string{ModernOnly: test.modern, LegacyOnly: test.legacy} {
			w := httptest.NewRecorder()
			era.Handler(next).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.message)))
			if code == "" && (w.Code != 200 || w.Body.String() != test.message) {
				t.Errorf("%s, %s: %d %s, want it passed on", era, test.name, w.Code, w.Body)
			}
			if code != "" && (w.Code != 400 || !strings.Contains(w.Body.String(), `"id":1,"error":{"code":`+code)) {
				t.Errorf("%s, %s: %d %s, want 400 with %s", era, test.name, w.Code, w.Body, code)
			}
		}
	}
	for era, want := range map[Era]int{ModernOnly: 405, LegacyOnly: 200} {
		w := httptest.NewRecorder()
		era.Handler(next).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != want {
			t.Errorf("%s, GET: %d, want %d", era, w.Code, want)
		}
	}
}

// TestMain lets the test binary be the command that Run is tested with.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "run":
			os.Exit(Era(os.Args[2]).Run(os.Args[3:]))
		case "cat":
			io.Copy(os.Stdout, os.Stdin)
			os.Exit(3)
		}
	}
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		for era, code := range map[Era]string{ModernOnly: test.modern, LegacyOnly: test.legacy} {
			cmd := exec.Command(self, "run", string(era), self, "cat")
			cmd.Stdin = strings.NewReader(test.message + "\n")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, os.Stderr
			err := cmd.Run()
			if cmd.ProcessState.ExitCode() != 3 {
				t.Errorf("%s, %s: the exit status is not the command's: %v", era, test.name, err)
			}
			if code == "" && out.String() != test.message+"\n" {
				t.Errorf("%s, %s: %s, want it passed on", era, test.name, &out)
			}
			if code != "" && !strings.HasPrefix(out.String(), `{"jsonrpc":"2.0","id":1,"error":{"code":`+code) {
				t.Errorf("%s, %s: %s, want %s", era, test.name, &out, code)
			}
		}
	}
}

// TestAsking calls each of the tools that ask, as a modern client does: the question, then the retry with its answer.
func TestAsking(t *testing.T) {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	call := func(params string) string {
		w := httptest.NewRecorder()
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + params + `,` + meta + `}}`
		ModernOnly.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		return w.Body.String()
	}
	tests := []struct{ tool, arguments, question, response, text string }{
		{"test_sampling", `{"prompt":"a \"b\""}`, `"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"a \"b\""}}]`,
			`{"role":"assistant","model":"m","content":{"type":"text","text":"hello"}}`, `LLM response: hello`},
		{"test_elicitation", `{"message":"who?"}`, `"message":"who?","requestedSchema":{"type":"object","properties":{"username"`,
			`{"action":"accept","content":{"username":"u"}}`, `Elicitation result: action=accept, content={\"username\":\"u\"}`},
		{"test_elicitation_sep1034_defaults", `{}`, `"default":95.5`, `{"action":"decline"}`, `Elicitation result: action=decline, content=null`},
		{"test_elicitation_sep1330_enums", `{}`, `"enumNames":["Option One","Option Two","Option Three"]`, `{"action":"cancel"}`, `Elicitation result: action=cancel, content=null`},
	}
	for _, test := range tests {
		params := `"name":"` + test.tool + `","arguments":` + test.arguments
		if got := call(params); !strings.Contains(got, `"resultType":"input_required"`) || !strings.Contains(got, test.question) {
			t.Errorf("%s asks %s", test.tool, got)
		}
		want := `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"` + test.text + `"}]}}`
		if got := call(params + `,"inputResponses":{"question":` + test.response + `}`); got != want {
			t.Errorf("%s answers %s, want %s", test.tool, got, want)
		}
	}
}
