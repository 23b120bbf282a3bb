package inproc_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/demo"
	"github.com/mcpfirewall/mcpfirewall/internal/inproc"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "server" { // the server behind the relay
		if err := demo.Serve(context.Background(), os.Stdin, os.Stdout, "test"); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

type answer func(context.Context, mcp.ElicitationRequest) mcp.ElicitationResponseAction

func (a answer) Elicit(ctx context.Context, r mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	result := &mcp.ElicitationResult{}
	result.Action, result.Content = a(ctx, r), map[string]any{}
	return result, nil
}

func connect(t *testing.T, a answer, version string) (*client.Client, *inproc.Transport) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("", fmt.Appendf(nil, "version: 1\nservers: { mail: { command: %q, args: [server] } }\ntools: { allow: [mail.read_inbox], ask: [mail.send_mail] }\napprovals: { timeout: 2s }\n", self))
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := vault.New(vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	relay, err := proxy.New(proxy.Options{Config: cfg, Vault: secrets, Audit: audit.Discard(), Log: zerolog.Nop(), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		relay.Close(ctx)
	})
	tr := inproc.New(relay.Open(proxy.Peer{Transport: "stdio", Principal: "test"}))
	t.Cleanup(func() { tr.Close() })
	c := client.NewClient(tr, client.WithElicitationHandler(a))
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = version
	if _, err := c.Initialize(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	return c, tr
}

func TestBothEras(t *testing.T) {
	for _, version := range []string{mcp.ProtocolVersion20260728, mcp.ProtocolVersion20251125} {
		t.Run(version, func(t *testing.T) {
			asked := 0
			c, _ := connect(t, func(_ context.Context, r mcp.ElicitationRequest) mcp.ElicitationResponseAction {
				if asked++; !strings.Contains(r.Params.Message, "send_mail") {
					t.Errorf("the question is %q", r.Params.Message)
				}
				return mcp.ElicitationResponseActionAccept
			}, version)
			tools, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
			if err != nil || len(tools.Tools) != 2 {
				t.Fatalf("the tools are %v, %v", tools, err)
			}
			var call mcp.CallToolRequest
			call.Params.Name = "send_mail"
			call.Params.Arguments = map[string]any{"to": "a@example.com", "subject": "", "body": ""}
			result, err := c.CallTool(t.Context(), call)
			if err != nil || result.IsError || asked != 1 {
				t.Errorf("the call came to %v, %v after %d questions", result, err, asked)
			}
		})
	}
}

func TestCall(t *testing.T) {
	_, tr := connect(t, nil, mcp.ProtocolVersion20251125)
	result, failure, err := tr.Call(t.Context(), "tools/call", []byte(`{"name":"read_inbox","arguments":{}}`))
	if err != nil || failure != nil || len(jsonrpc.Get(result, "content")) == 0 {
		t.Errorf("read_inbox came to %s, %s, %v", result, failure, err)
	}
	result, failure, err = tr.Call(t.Context(), "tools/call", []byte(`{"name":"nothing"}`))
	if err != nil || result != nil || string(jsonrpc.Get(failure, "code")) != "-32602" {
		t.Errorf("a tool that does not exist came to %s, %s, %v", result, failure, err)
	}
	if _, _, err := tr.Call(t.Context(), "tools/call", []byte(`{"name":"a","name":"b"}`)); err == nil {
		t.Error("a message with a duplicate name was sent")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := tr.Call(ctx, "tools/call", []byte(`{"name":"read_inbox","arguments":{}}`)); err == nil {
		t.Error("a call without time got an answer")
	}
}

// A question that was given up must not take the answer to the next one.
func TestQuestionGivenUp(t *testing.T) {
	ended := make(chan struct{})
	_, tr := connect(t, func(ctx context.Context, _ mcp.ElicitationRequest) mcp.ElicitationResponseAction {
		<-ctx.Done()
		close(ended)
		return mcp.ElicitationResponseActionAccept
	}, mcp.ProtocolVersion20251125)
	result, _, err := tr.Call(t.Context(), "tools/call", []byte(`{"name":"send_mail","arguments":{"to":"a","subject":"","body":""}}`))
	if err != nil || string(jsonrpc.Get(result, "isError")) != "true" {
		t.Errorf("a call that nobody approved came to %s, %v", result, err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the question is still put to somebody")
	}
}
