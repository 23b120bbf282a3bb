package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/early"
	"github.com/mcpfirewall/mcpfirewall/internal/hook"
	"github.com/mcpfirewall/mcpfirewall/internal/state"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/mcpfirewall/mcpfirewall/proxy/downstream"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (a *app) runCommand() *cobra.Command {
	var session string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve one client over standard input and output",
		Long: `run serves one MCP client over standard input and output, with the servers of the
configuration behind it. It ends when its input ends, or on SIGTERM once the calls under
way have finished. When the configuration file changes, or on SIGHUP, it is read again;
one with a problem is not used, and the log says what is wrong.`,
		Example: `  mcpfirewall run --config ~/mcpfirewall.yaml
  claude mcp add firewall -- mcpfirewall run --config ~/mcpfirewall.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := complete(config.Open(a.config))
			if err != nil {
				return err
			}
			return a.stdio(cmd.Context(), cfg, session)
		},
	}
	cmd.Flags().StringVar(&session, "session", "", "`NAME` of the session, for the records and for rules")
	return cmd
}

func (a *app) wrapCommand() *cobra.Command {
	var session string
	cmd := &cobra.Command{
		Use:   "wrap -- COMMAND [ARGUMENT...]",
		Short: "Put one server behind the firewall, without a configuration file",
		Long: `wrap starts one server and serves it over standard input and output. Everything that the
server offers is allowed, under its own name; every message is checked and every call is
recorded as with a configuration file. ${env:NAME}, ${file:PATH} and ${vault:...} in an
argument stand for a secret, which is masked in everything that leaves the server. Of the
environment, the server gets PATH, HOME and their like only.`,
		Example: `  mcpfirewall wrap -- npx -y @modelcontextprotocol/server-filesystem ~/project
  claude mcp add files -- mcpfirewall wrap -- npx -y @modelcontextprotocol/server-filesystem ~/project`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := complete(config.Wrap(args[0], args[1:]), nil)
			if err != nil {
				return err
			}
			if cfg.State.Path == "" {
				_, err := state.DefaultDir()
				return fmt.Errorf("finding a place for the audit file: %w; set it, or use a configuration that says state.path", err)
			}
			return a.stdio(cmd.Context(), cfg, session)
		},
	}
	cmd.Flags().StringVar(&session, "session", "", "`NAME` of the session, for the records and for rules")
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	return cmd
}

// stdio serves the client on the standard streams.
func (a *app) stdio(ctx context.Context, cfg *config.Config, session string) error {
	guarded := protect() // before there is a secret
	f, err := a.open(cfg, zerolog.InfoLevel)
	if err != nil {
		return err
	}
	defer f.close()
	if guarded != nil {
		f.log.Warn().Err(guarded).Msg("the memory is less protected than it could be")
	}
	f.watch(ctx, a)
	f.Start()
	f.trimSoon()
	s := f.Open(proxy.Peer{Transport: "stdio", Principal: proxy.LocalPrincipal(), Name: session, Due: early.Begun.Add(firstAnswer)})
	defer s.Close()
	prompts, err := hook.Listen(hook.Options{Session: session, Log: f.log.Logger, Deliver: func(p hook.Prompt) error {
		s.Heard(p.Text)
		return nil
	}})
	if err != nil {
		f.log.Warn().Err(err).Msg("the user's prompts are not recorded: rules know no value as the user's own")
	} else {
		defer prompts.Close()
	}
	err = downstream.Stdio(ctx, s, a.in, a.out, downstream.StdioOptions{MaxMessage: int(cfg.Listen.MaxRequest), Grace: cfg.Listen.ShutdownGrace, Linger: linger, Log: f.log.Logger})
	if err != nil {
		return fmt.Errorf("serving the client: %w", err)
	}
	return nil
}

// firstAnswer is when a client gets its first answer, as far as the start's own work lets it:
// clients start their servers one after the other, and wait for each.
const firstAnswer = 35 * time.Millisecond

func (a *app) serveCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve clients over HTTP",
		Long: `serve serves MCP clients over HTTP: Streamable HTTP of every protocol version at /mcp, the
old HTTP with SSE at /sse, and /healthz. Each session has its own connections to the
servers, except those that say shared: true. It listens on a loopback address only, since
whoever can connect can use it. It ends on SIGTERM, once the calls under way have finished.`,
		Example: `  mcpfirewall serve --config ~/mcpfirewall.yaml
  mcpfirewall serve --listen 127.0.0.1:0
  claude mcp add --transport http firewall http://127.0.0.1:8750/mcp`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := complete(config.Open(a.config))
			if err != nil {
				return err
			}
			address := cfg.Listen.Address
			if listen != "" {
				if _, port, err := net.SplitHostPort(listen); err != nil || !isPort(port) {
					return usageError{fmt.Errorf("--listen %s: it is an address with a port, such as 127.0.0.1:8750", listen)}
				}
				address = listen
			}
			return a.serve(cmd.Context(), cfg, address)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDRESS` to listen on instead of listen.address; port 0 takes a free one")
	return cmd
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func (a *app) serve(ctx context.Context, cfg *config.Config, address string) error {
	guarded := protect() // before there is a secret
	f, err := a.open(cfg, zerolog.InfoLevel)
	if err != nil {
		return err
	}
	defer f.close()
	if guarded != nil {
		f.log.Warn().Err(guarded).Msg("the memory is less protected than it could be")
	}
	h := downstream.NewHTTP(f.Relay, downstream.HTTPOptions{
		Hosts: cfg.Listen.Hosts, Origins: cfg.Listen.Origins, MaxRequest: int(cfg.Listen.MaxRequest),
		Grace: cfg.Listen.ShutdownGrace, Log: f.log.Logger,
	})
	prompts, err := hook.Listen(hook.Options{Serve: true, Log: f.log.Logger, Deliver: func(p hook.Prompt) error {
		f.Heard(p.Session, p.Text)
		return nil
	}})
	if err != nil {
		f.log.Warn().Err(err).Msg("the users' prompts are not recorded: rules know no value as the user's own")
	} else {
		defer prompts.Close()
	}
	l, err := h.Listen(address)
	if err != nil {
		return err
	}
	f.watch(ctx, a)
	f.Start()
	f.trimSoon()
	io.WriteString(a.err, "listening on http://"+l.Addr().String()+"/mcp\n")
	return h.Serve(ctx, l)
}

// linger is what requests under way get to finish when standard input ends, so that a
// script may write its requests and close the pipe.
const linger = 2 * time.Second
