// Package era makes a server that speaks both eras of the protocol refuse one of them, so that a test can put a legacy
// client in front of a modern server and the other way round with one and the same server behind. It is test support.
//
// The eras are those of the specification: modern is what carries its version in every request (2026-07-28 on), legacy
// what begins with an initialize handshake (2025-11-25 and before).
// https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning
//
// The server is the Go SDK's reference server for the conformance suite; what it does only in the legacy era is given
// its modern form here (see asking).
package era

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Era is the one era that a server is left with.
type Era string

const (
	ModernOnly Era = "modern-only"
	LegacyOnly Era = "legacy-only"
)

type message struct {
	ID     jsontext.Value `json:"id"`
	Method string         `json:"method"`
	Params struct {
		ProtocolVersion string        `json:"protocolVersion"`
		Name            string        `json:"name"`
		Arguments       toolArguments `json:"arguments"`
		InputResponses  map[string]struct {
			Action  string         `json:"action"`
			Content jsontext.Value `json:"content"`
		} `json:"inputResponses"`
		Meta struct {
			ProtocolVersion string `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	} `json:"params"`
}

// reply is how a server that is left with one era answers a message that it does not leave to the server behind: the
// rest of the JSON-RPC response, and the HTTP status. It is "" where it does.
func (e Era) reply(raw []byte) (response string, status int, err error) {
	var m message
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", 0, fmt.Errorf("reading a message: %w", err)
	}
	if m.Method == "" || m.ID == nil {
		return "", 0, nil
	}
	modern := m.Params.Meta.ProtocolVersion != ""
	rpcError := ""
	switch {
	case e == ModernOnly && m.Method == "initialize":
		rpcError = `{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"],"requested":` +
			quote(m.Params.ProtocolVersion) + `}}`
	case e == ModernOnly && !modern:
		rpcError = `{"code":-32602,"message":"Invalid params: _meta io.modelcontextprotocol/protocolVersion is required"}`
	case e == ModernOnly && m.answer() != "":
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, m.answer()), http.StatusOK, nil
	case e == LegacyOnly && m.Method == "server/discover":
		rpcError = `{"code":-32601,"message":"Method not found"}`
	case e == LegacyOnly && modern:
		rpcError = `{"code":-32600,"message":"Invalid request: this server speaks 2025-11-25 and before"}`
	default:
		return "", 0, nil
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":%s}`, m.ID, rpcError), http.StatusBadRequest, nil
}

// singleLine is a response without the line breaks that the texts in this package have between their tokens.
func singleLine(response string) []byte {
	v := jsontext.Value(response)
	if err := v.Compact(); err != nil {
		panic(err) // of this package's own making
	}
	return v
}

// unmarshal reads JSON as the SDKs' servers do: what is not known is ignored.
func unmarshal(data []byte, into any) error {
	return json.Unmarshal(data, into, json.MatchCaseInsensitiveNames(true))
}

// Handler returns a handler that refuses what a server of the era would, and passes the rest to next.
func (e Era) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			if e == ModernOnly {
				http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // The client is gone.
		}
		response, status, err := e.reply(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if response != "" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			w.Write(singleLine(response))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// Run starts command and stands between it and the standard streams of this process until either side is done. It
// returns the exit status.
func (e Era) Run(command []string) int {
	if err := e.run(command); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (e Era) run(command []string) error {
	out := &lineWriter{w: os.Stdout}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("starting %s: %w", command[0], err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting %s: %w", command[0], err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", command[0], err)
	}
	go func() {
		defer stdin.Close()
		err := eachLine(os.Stdin, func(line []byte) error {
			response, _, err := e.reply(line)
			if err != nil {
				return err
			}
			if response != "" {
				return out.write(append(singleLine(response), '\n'))
			}
			_, err = stdin.Write(line)
			return err
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "era:", err)
		}
	}()
	if err := eachLine(stdout, out.write); err != nil {
		return err
	}
	return cmd.Wait()
}

// lineWriter writes whole lines from two goroutines.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.w.Write(line)
	return err
}

// eachLine calls f with every line, the line feed included, until the end or an error.
func eachLine(r io.Reader, f func(line []byte) error) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if err := f(line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
