package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (a *app) toolsCommand() *cobra.Command {
	var asJSON bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "tools",
		Short: "Print what the agent would see, what is hidden, and why",
		Long: `tools starts the servers and prints every tool, resource and prompt that they offer: what
the agent would see and under which name, what is hidden from it, and which pattern said
so; and which servers failed and why. A rule with a condition is judged at each call and
hides nothing. The exit status is 1 if a server failed.`,
		Example: `  mcpfirewall tools --config ~/mcpfirewall.yaml
  mcpfirewall tools --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := complete(config.Open(a.config))
			if err != nil {
				return err
			}
			inv, err := a.inventory(cmd.Context(), cfg, wait)
			if err != nil {
				return err
			}
			if asJSON {
				err = a.toolsJSON(inv)
			} else {
				err = a.toolsText(inv)
			}
			if err != nil {
				return fmt.Errorf("writing the result: %w", err)
			}
			for _, s := range inv.Servers {
				if s.Error != "" {
					return errFound
				}
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the servers")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// inventory starts the servers, waits until each is up or has failed, and returns what a
// client would see.
func (a *app) inventory(ctx context.Context, cfg *config.Config, wait time.Duration) (proxy.Inventory, error) {
	log, err := a.newLogger(zerolog.WarnLevel)
	if err != nil {
		return proxy.Inventory{}, err
	}
	f, err := assemble(cfg, audit.Discard(), log) // no call is made that a record would be of
	if err != nil {
		log.close()
		return proxy.Inventory{}, err
	}
	defer f.close()
	f.Start()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	s, t, err := f.connect(ctx, "mcpfirewall tools", proxy.ModernVersion)
	if err != nil {
		return proxy.Inventory{}, err
	}
	defer t.Close()
	return s.Inventory(ctx), nil
}

func (a *app) toolsText(inv proxy.Inventory) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "SERVER\tSTATE\n")
	for _, s := range inv.Servers {
		state := "up, protocol " + s.Version
		if s.Error != "" {
			state = "failed: " + s.Error
		}
		fmt.Fprintf(w, "%s\t%s\n", s.Name, visible.Text(state))
	}
	var seen, hidden []proxy.CapabilityStatus
	for _, c := range inv.Capabilities {
		if c.Hidden {
			hidden = append(hidden, c)
		} else {
			seen = append(seen, c)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nTHE AGENT SEES\tKIND\tCALLS ARE\tBECAUSE OF\n")
	for _, c := range seen {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", visible.Text(c.Exposed), c.Kind, decided(c.Action), c.Rule)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nHIDDEN\tKIND\tBECAUSE OF\n")
	for _, c := range hidden {
		why := c.Rule
		if c.Reason != "" {
			why = visible.Text(c.Reason)
		}
		fmt.Fprintf(w, "%s.%s\t%s\t%s\n", c.Server, visible.Text(c.Name), c.Kind, why)
	}
	return w.Flush()
}

// decided says what becomes of a call, unless a rule is stricter.
func decided(action string) string {
	switch action {
	case "allow":
		return "allowed"
	case "ask":
		return "asked about"
	}
	return "denied"
}

func (a *app) toolsJSON(inv proxy.Inventory) error {
	type server struct {
		Name     string `json:"name"`
		Era      string `json:"era,omitzero"`
		Protocol string `json:"protocol,omitzero"`
		Error    string `json:"error,omitzero"`
	}
	type capability struct {
		Kind    string `json:"kind"`
		Server  string `json:"server"`
		Name    string `json:"name"`
		Exposed string `json:"exposed"`
		Hidden  bool   `json:"hidden"`
		Action  string `json:"action"`
		Rule    string `json:"rule"`
		Reason  string `json:"reason,omitzero"`
	}
	out := struct {
		Servers      []server     `json:"servers"`
		Capabilities []capability `json:"capabilities"`
	}{[]server{}, []capability{}}
	for _, s := range inv.Servers {
		out.Servers = append(out.Servers, server{s.Name, s.Era, s.Version, s.Error})
	}
	for _, c := range inv.Capabilities {
		out.Capabilities = append(out.Capabilities, capability{c.Kind, c.Server, c.Name, c.Exposed, c.Hidden, c.Action, c.Rule, c.Reason})
	}
	if err := json.MarshalWrite(a.out, out, jsontext.WithIndent("  ")); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.out)
	return err
}
