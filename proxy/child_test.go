package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// runChild is a real server over stdio that has a credential in its environment. It does
// not start with one that holds "refuse", and with one that holds "more" it has a tool
// more. Where PORT says so, there cannot be two at the same time.
func runChild() {
	secret := os.Getenv("SECRET")
	if strings.Contains(secret, "refuse") {
		fmt.Fprintln(os.Stderr, "that password is refused: "+secret)
		os.Exit(3)
	}
	if port := os.Getenv("PORT"); port != "" {
		if _, err := net.Listen("tcp", "127.0.0.1:"+port); err != nil {
			fmt.Fprintln(os.Stderr, "another one is running already")
			os.Exit(4)
		}
	}
	s := server.NewMCPServer("child", "1", server.WithToolCapabilities(true))
	s.AddTool(mcp.NewTool("who", mcp.WithNumber("ms")), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		time.Sleep(time.Duration(r.GetInt("ms", 0)) * time.Millisecond)
		return mcp.NewToolResultText(fmt.Sprintf("pid %d has %s.", os.Getpid(), fingerprint(secret))), nil
	})
	s.AddTool(mcp.NewTool("leak"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("it is " + secret), nil
	})
	s.AddTool(mcp.NewTool("die"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		fmt.Fprintln(os.Stderr, "the password is "+secret)
		os.Exit(2)
		return nil, nil
	})
	s.AddTool(mcp.NewTool("search", mcp.WithString("q", mcp.Required()), mcp.WithString("api_key", mcp.Required()), mcp.WithNumber("account")),
		func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			key := r.GetString("api_key", "")
			text := fmt.Sprintf("searched %s with %s for account %T %v.", r.GetString("q", ""), fingerprint(key), r.GetArguments()["account"], r.GetArguments()["account"])
			if r.GetString("q", "") == "leak" {
				text += " The key is " + key
			}
			return mcp.NewToolResultText(text), nil
		})
	if strings.Contains(secret, "more") {
		s.AddTool(mcp.NewTool("more"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("more"), nil
		})
	}
	stdio := server.NewStdioServer(s)
	stdio.SetErrorLogger(log.New(io.Discard, "", 0))
	if err := stdio.Listen(context.Background(), os.Stdin, os.Stdout); err != nil {
		os.Exit(1)
	}
}

// fingerprint stands for a value without showing it.
func fingerprint(value string) string {
	sum := sha256.Sum256([]byte(value))
	return "fingerprint-" + hex.EncodeToString(sum[:6])
}

// childServer is the configuration of a real server whose credential is the reference.
func childServer(name, reference string) config.Server {
	return config.Server{Name: name, Command: os.Args[0], Env: map[string]string{"MCPFIREWALL_TEST_CHILD": "1", "SECRET": reference},
		Timeout: 20 * time.Second, MaxMessage: jsonrpc.DefaultMaxBytes}
}

// onlyChild is childServer for one of which there cannot be two.
func onlyChild(t testing.TB, name, reference string) config.Server {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	s := childServer(name, reference)
	s.Env["PORT"] = port
	return s
}

// secretFile is a file with a value, and what changes it as one does that must not be
// read half written.
func secretFile(t testing.TB, value string) (path string, set func(string)) {
	t.Helper()
	path = t.TempDir() + "/secret"
	set = func(value string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	set(value)
	return path, set
}

// until calls a tool until its response holds the text.
func (c *testClient) until(tool, args, text string) string {
	c.t.Helper()
	got := ""
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = c.callTool(tool, args); strings.Contains(got, text) {
			return got
		}
	}
	c.t.Fatalf("%s never answered with %s, but at last with %s", tool, text, got)
	return ""
}
