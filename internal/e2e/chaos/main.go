// Command chaos is an MCP server with tools that break every rule of the protocol, to show that the firewall survives
// them. It speaks the legacy era over stdio, or over Streamable HTTP at the loopback address that it prints:
//
//	chaos DIR          over stdio
//	chaos -http DIR    over HTTP, until standard input ends
//
// Each process leaves a file with its process id as its name in DIR, so that a test can tell that all have ended.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// huge is the size of what the tool large answers with.
const huge = 100_000_000

func main() {
	args := os.Args[1:]
	overHTTP, orphan := len(args) > 0 && args[0] == "-http", len(args) > 0 && args[0] == "-orphan"
	if overHTTP || orphan {
		args = args[1:]
	}
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: chaos [-http] DIR")
		os.Exit(2)
	}
	if err := os.WriteFile(filepath.Join(args[0], strconv.Itoa(os.Getpid())), nil, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch {
	case orphan:
		signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		time.Sleep(time.Hour)
	case overHTTP:
		serveHTTP()
	default:
		(&server{dir: args[0], out: bufio.NewWriter(os.Stdout)}).serve(os.Stdin)
	}
}

// tools are the names of all tools; what each does over stdio is in server.call, over HTTP in call.
var tools = []string{
	"ok", "hang", "die", "half", "flood", "twice", "wrong_id", "large", "junk", "fragments", "bad_json", "deep", "binary",
	"deaf", "orphan", "pings", "trickle", "redirect", "status",
}

func toolList() string {
	var list []string
	for _, name := range tools {
		list = append(list, fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}}`, name))
	}
	return `{"tools":[` + strings.Join(list, ",") + `]}`
}

// done is the result of a tool that answers in the end.
const done = `{"content":[{"type":"text","text":"done"}]}`

// answer returns the response to anything but a call of a tool, and the name of the tool for such a call.
func answer(raw []byte) (response []byte, id []byte, tool string) {
	m, err := jsonrpc.Parse(raw, jsonrpc.Limits{})
	if err != nil || m.Kind != jsonrpc.Request {
		return nil, nil, ""
	}
	id = m.At(m.ID)
	switch m.Method {
	case "initialize":
		return jsonrpc.NewResult(id, []byte(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"chaos","version":"1"}}`)), id, ""
	case "ping":
		return jsonrpc.NewResult(id, []byte(`{}`)), id, ""
	case "tools/list":
		return jsonrpc.NewResult(id, []byte(toolList())), id, ""
	case "tools/call":
		name, _ := jsonrpc.GetString(m.At(m.Params), "name")
		return nil, id, name
	}
	return jsonrpc.NewError(id, jsonrpc.CodeMethodNotFound, "method not found", nil), id, ""
}

// server is the server over stdio.
type server struct {
	dir string
	mu  sync.Mutex
	out *bufio.Writer
}

func (s *server) serve(in io.Reader) {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		response, id, tool := answer(bytes.TrimSpace(line))
		switch {
		case response != nil:
			s.write(string(response) + "\n")
		case tool == "deaf":
			time.Sleep(time.Hour) // reads nothing any more
		case tool != "":
			go s.call(tool, string(id))
		}
	}
}

func (s *server) write(parts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range parts {
		s.out.WriteString(p)
	}
	if s.out.Flush() != nil {
		os.Exit(0) // the firewall is gone
	}
}

func result(id, result string) string {
	return string(jsonrpc.NewResult([]byte(id), []byte(result))) + "\n"
}

// wrongIDs are ids that a careless reader could take for the id.
func wrongIDs(id string) []string {
	return []string{`"` + id + `"`, id + "0", "-1", `""`, `"x"`, id + ".0", "null"}
}

func (s *server) call(tool, id string) {
	const note = `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"flood"}}` + "\n"
	switch tool {
	case "ok":
		s.write(result(id, done))
	case "hang":
	case "die":
		os.Exit(3)
	case "half":
		s.write(result(id, done)[:20])
		os.Exit(0)
	case "flood":
		for range 5_000 {
			s.write(note)
		}
		s.write(result(id, done))
	case "twice":
		s.write(result(id, done), result(id, `{"content":[{"type":"text","text":"done again"}]}`))
	case "wrong_id":
		for _, wrong := range wrongIDs(id) {
			s.write(result(wrong, done))
		}
	case "large":
		s.write(`{"jsonrpc":"2.0","id":`, id, `,"result":{"content":[{"type":"text","text":"`)
		part := strings.Repeat("x", 1_000_000)
		for range huge / len(part) {
			s.write(part)
		}
		s.write(`"}]}}`, "\n")
	case "junk":
		s.write("Server listening on nothing\n", "\n", "[]\n", "null\n", "\x00\x1b[31m\xff\xfe\n", strings.Repeat("junk ", 50_000), "\n", result(id, done))
	case "fragments":
		s.write("{}\n", "{\"jsonrpc\":\"2.0\"\n", "{\"jsonrpc\":\"2.0\",\"id\":\n", result(id, done))
	case "bad_json":
		s.write(`{"jsonrpc":"2.0","id":`, id, `,"id":`, id, `,"result":`, done, "}\n")
	case "deep":
		s.write(result(id, `{"content":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`))
	case "binary":
		s.write(`{"jsonrpc":"2.0","id":`, id, `,"result":{"content":[{"type":"text","text":"`, "\xff\xc0\x80\x00", `"}]}}`, "\n")
	case "orphan": // a child that holds the pipes, does not go on SIGTERM and outlives its parent
		child := exec.Command(os.Args[0], "-orphan", s.dir)
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			panic(err)
		}
		os.Exit(0)
	case "pings":
		for n := range 5_000 {
			s.write(fmt.Sprintf(`{"jsonrpc":"2.0","id":"p%d","method":"ping"}`, n)+"\n", fmt.Sprintf(`{"jsonrpc":"2.0","id":"e%d","method":"no/such"}`, n)+"\n")
		}
		s.write(result(id, done))
	case "trickle":
		for _, c := range result(id, done)[:40] {
			s.write(string(c))
			time.Sleep(time.Second)
		}
	default: // what has no meaning over stdio
		s.write(result(id, done))
	}
}
