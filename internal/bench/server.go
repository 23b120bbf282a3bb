package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// era is the protocol era that a client or the server speaks.
type era string

const (
	legacy era = "legacy" // 2025-11-25, with initialize
	modern era = "modern" // 2026-07-28, stateless
)

const (
	legacyVersion = "2025-11-25"
	modernVersion = "2026-07-28"
)

// serverTools is how many tools the server has; the first one echoes, the others are there for lists and rules.
const serverTools = 20

// answer returns the server's response to one message, nil if it needs none. The text of an echo's result is the raw
// JSON string of the argument.
func (e era) answer(raw []byte) []byte {
	m, err := jsonrpc.Parse(raw, jsonrpc.Limits{})
	if err != nil {
		return jsonrpc.NewError(nil, jsonrpc.CodeParse, err.Error(), nil)
	}
	if m.Kind != jsonrpc.Request {
		return nil
	}
	id, params := m.At(m.ID), m.At(m.Params)
	complete, cached := "", ""
	if e == modern {
		complete, cached = `"resultType":"complete",`, `"ttlMs":0,"cacheScope":"private",`
	}
	var result string
	switch {
	case m.Method == "initialize" && e == legacy:
		result = `{"protocolVersion":"` + legacyVersion + `","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}`
	case m.Method == "server/discover" && e == modern:
		result = `{` + complete + cached + `"supportedVersions":["` + modernVersion + `"],"capabilities":{"tools":{}},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"bench","version":"1"}}}`
	case m.Method == "ping" && e == legacy:
		result = `{}`
	case m.Method == "tools/list":
		result = `{` + complete + cached + `"tools":` + toolList + `}`
	case m.Method == "tools/call":
		text := jsonrpc.Get(params, "arguments", "message")
		if text == nil {
			return jsonrpc.NewError(id, jsonrpc.CodeInvalidParams, "message is missing", nil)
		}
		b := make([]byte, 0, len(text)+96)
		b = append(b, `{`+complete+`"content":[{"type":"text","text":`...)
		b = append(b, text...)
		return jsonrpc.NewResult(id, append(b, `}]}`...))
	default:
		return jsonrpc.NewError(id, jsonrpc.CodeMethodNotFound, "method not found", nil)
	}
	return jsonrpc.NewResult(id, []byte(result))
}

var toolList = func() string {
	var b strings.Builder
	for i := range serverTools {
		b.WriteString(map[bool]string{true: "[", false: ","}[i == 0])
		fmt.Fprintf(&b, `{"name":%q,"description":"Returns the message.","inputSchema":{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}}`, toolName(i))
	}
	return b.String() + "]"
}()

func toolName(i int) string {
	if i == 0 {
		return "echo"
	}
	return fmt.Sprintf("echo_%d", i)
}

// serveStdio is the server over standard input and output.
func serveStdio(args []string) error {
	flags := flag.NewFlagSet("serve-stdio", flag.ExitOnError)
	speaks := flags.String("era", string(legacy), "")
	wait := flags.Duration("wait", 0, "how long it takes to start")
	flags.Parse(args)
	time.Sleep(*wait)
	in, out := bufio.NewReaderSize(os.Stdin, 64<<10), bufio.NewWriterSize(os.Stdout, 64<<10)
	for {
		line, err := readLine(in)
		if err != nil {
			return nil
		}
		if a := era(*speaks).answer(line); a != nil {
			out.Write(a)
			out.WriteByte('\n')
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return fmt.Errorf("serve-stdio: %w", err)
			}
		}
	}
}

// readLine reads one line of any length, without its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if err == nil && long == nil {
			return append([]byte(nil), part[:len(part)-1]...), nil
		}
		long = append(long, part...)
		if err == nil {
			return long[:len(long)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// serveHTTP is the server over Streamable HTTP; it answers each POST with one JSON object.
func serveHTTP(args []string) error {
	flags := flag.NewFlagSet("serve-http", flag.ExitOnError)
	speaks := flags.String("era", string(legacy), "")
	flags.Parse(args)
	return listen(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
		case http.MethodDelete:
			return
		default:
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		a := era(*speaks).answer(body)
		if a == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if *speaks == string(legacy) && r.Header.Get("Mcp-Session-Id") == "" {
			w.Header().Set("Mcp-Session-Id", "bench")
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(a)
	})
}

// listen serves on a free port of the loopback interface, says which one in the words that the firewall uses, and ends
// when its standard input does, so that it never outlives the run.
func listen(h http.HandlerFunc) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "listening on http://%s/mcp\n", l.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(l, h)
}
