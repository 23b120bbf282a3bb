package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/inproc"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (a *app) callCommand() *cobra.Command {
	var asJSON bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "call TOOL [JSON | -]",
		Short: "Make one call through the whole path and print the result",
		Long: `call calls one tool as an agent would: what the policy denies is refused, what it asks about
is asked here if this is a terminal and is refused otherwise, and the call is recorded. TOOL
is a name that ` + "`mcpfirewall tools`" + ` prints. The arguments are a JSON object; - reads it from
standard input. The exit status is 1 if the call was refused or failed.`,
		Example: `  mcpfirewall call read_inbox
  mcpfirewall call send_mail '{"to":"bob@example.com","subject":"Hi","body":"Lunch?"}'
  echo '{}' | mcpfirewall call --json read_inbox -`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			arguments, err := a.arguments(args[1:])
			if err != nil {
				return err
			}
			cfg, err := complete(config.Open(a.config))
			if err != nil {
				return err
			}
			result, failure, err := a.call(cmd.Context(), cfg, args[0], arguments, wait)
			if err != nil {
				return err
			}
			return a.printResult(result, failure, asJSON)
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the servers")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as the JSON that an agent would get")
	return cmd
}

// arguments returns the arguments of the call, one JSON object.
func (a *app) arguments(args []string) ([]byte, error) {
	raw := []byte("{}")
	if len(args) > 0 {
		raw = []byte(args[0])
		if args[0] == "-" {
			var err error
			if raw, err = io.ReadAll(io.LimitReader(a.in, jsonrpc.DefaultMaxBytes+1)); err != nil {
				return nil, fmt.Errorf("reading the arguments: %w", err)
			}
		}
	}
	raw = bytes.TrimSpace(raw)
	if jsontext.Value(raw).Kind() != '{' {
		return nil, usageError{errors.New("the arguments are no JSON object, such as '{\"name\": \"value\"}'")}
	}
	if err := jsonrpc.CheckValue(raw, jsonrpc.Limits{}); err != nil {
		return nil, usageError{fmt.Errorf("the arguments are refused: %w", err)}
	}
	return raw, nil
}

// call makes the call and returns the raw result, or the raw error object.
func (a *app) call(ctx context.Context, cfg *config.Config, tool string, arguments []byte, wait time.Duration) (result, failure []byte, err error) {
	f, err := a.open(cfg, zerolog.WarnLevel)
	if err != nil {
		return nil, nil, err
	}
	defer f.close()
	f.Start()
	var options []client.ClientOption
	if isTerminal(a.in) && isTerminal(a.err) {
		options = append(options, client.WithElicitationHandler(newPerson(a.in, a.err)))
	}
	// In this version a question of a server comes as a request of its own, so that a call
	// has one answer, which stays as it is.
	s, t, err := f.connect(ctx, "mcpfirewall call", mcp.ProtocolVersion20251125, options...)
	if err != nil {
		return nil, nil, err
	}
	defer t.Close()
	waiting, cancel := context.WithTimeout(ctx, wait)
	s.Inventory(waiting)
	cancel()
	params := append(append([]byte(`{"name":`), jsonrpc.Quote(tool)...), `,"arguments":`...)
	params = append(append(params, arguments...), '}')
	return t.Call(ctx, "tools/call", params)
}

// connect connects a client in this process, which its transport's Close ends.
func (f *firewall) connect(ctx context.Context, name, version string, options ...client.ClientOption) (*proxy.Session, *inproc.Transport, error) {
	s := f.Open(proxy.Peer{Transport: "stdio", Principal: proxy.LocalPrincipal()})
	t := inproc.New(s)
	c := client.NewClient(t, options...)
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = version
	hello.Params.ClientInfo = mcp.Implementation{Name: name, Version: buildVersion()}
	err := c.Start(ctx)
	if err == nil {
		_, err = c.Initialize(ctx, hello)
	}
	if err != nil {
		t.Close()
		return nil, nil, fmt.Errorf("connecting to the firewall: %w", err)
	}
	return s, t, nil
}

// printResult prints what an agent would get.
func (a *app) printResult(result, failure []byte, asJSON bool) error {
	switch {
	case failure != nil && asJSON:
		fmt.Fprintf(a.out, "{\"error\":%s}\n", failure)
		return errFound
	case failure != nil:
		message, _ := jsonrpc.GetString(failure, "message")
		return fmt.Errorf("the call failed: %s (error %s)", visible.Text(message), jsonrpc.Get(failure, "code"))
	case asJSON:
		fmt.Fprintf(a.out, "%s\n", result)
	default:
		printContent(a.out, result)
	}
	if string(jsonrpc.Get(result, "isError")) == "true" {
		return errFound
	}
	return nil
}

// printContent prints the content of a result for people. What is no text is named.
func printContent(out io.Writer, result []byte) {
	content := jsonrpc.Get(result, "content")
	printed := false
	for span := range jsonrpc.Elements(content, jsonrpc.Span{End: len(content)}) {
		item := content[span.Start:span.End]
		printed = true
		kind, _ := jsonrpc.GetString(item, "type")
		switch kind {
		case "text":
			text, _ := jsonrpc.GetString(item, "text")
			fmt.Fprintln(out, visible.Text(text))
		case "resource_link":
			uri, _ := jsonrpc.GetString(item, "uri")
			fmt.Fprintf(out, "[%s]\n", visible.Text(uri))
		default:
			fmt.Fprintf(out, "[%s, %d bytes; --json prints it]\n", visible.Text(kind), len(item))
		}
	}
	if structured := jsonrpc.Get(result, "structuredContent"); !printed && len(structured) > 0 {
		fmt.Fprintln(out, visible.Text(string(structured)))
	}
}
