package main

import (
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/demo"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (a *app) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what the firewall does; nothing has to be installed",
		Long: `demo starts a small mail server that leaks, the firewall in front of it, and an agent that
believes everything that it reads, and shows what is listed, hidden, refused, asked about
and masked, with what goes on record. On a terminal you are the one who is asked.`,
		Example: "  mcpfirewall demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := demo.Options{Out: a.out, Colour: colours(a.out), Version: buildVersion(), Open: a.openDemo}
			if isTerminal(a.in) && isTerminal(a.out) {
				o.Approve = newPerson(a.in, a.out).yes
			}
			return demo.Run(cmd.Context(), o)
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "server",
		Short: "The demo's mail server, over standard input and output",
		Long: `server is the mail server of the demo and of the reference configuration. It reads its
credential from the environment variable ` + demo.TokenVariable + `, and repeats it to everybody.`,
		Example: "  mcpfirewall wrap -- mcpfirewall demo server",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Serve(cmd.Context(), a.in, a.out, buildVersion())
		},
	})
	return cmd
}

func (a *app) openDemo(cfg *config.Config) (*proxy.Relay, func(), error) {
	f, err := a.open(cfg, zerolog.ErrorLevel)
	if err != nil {
		return nil, nil, err
	}
	f.Start()
	return f.Relay, f.close, nil
}
