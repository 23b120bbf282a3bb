package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/trial"
	"github.com/spf13/cobra"
)

func (a *app) replayCommand() *cobra.Command {
	var quiet, strict, asJSON bool
	var lists map[string]string
	cmd := &cobra.Command{
		Use:   "replay AUDIT",
		Short: "Say what a policy would have decided on recorded calls",
		Long: `replay reads an audit file, or - for standard input, decides anew on every call in it, and
prints each that would be decided otherwise. Calls of which the log does not hold what the
decision needs, such as arguments that were cut or where values came from, are printed as
"cannot tell". Nothing is called and no server is started. The exit status is 1 if a
decision differs; with --strict, also if one cannot be told.`,
		Example: `  mcpfirewall replay ~/.local/state/mcpfirewall/audit.jsonl --config changed.yaml
  mcpfirewall replay --quiet --strict audit.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if quiet && asJSON {
				return usageError{errors.New("--quiet prints the summary for people, and --json everything for programs: choose one")}
			}
			r, err := a.replay(cmd.Context(), args[0], lists)
			if err != nil {
				return err
			}
			if asJSON {
				err = a.writeJSON(r)
			} else {
				r.Print(a.out, quiet)
			}
			if err == nil && (r.Differs > 0 || strict && r.CannotTell+len(r.Unreadable) > 0) {
				return errFound
			}
			return err
		},
	}
	cmd.Flags().StringToStringVar(&lists, "tools", nil, "`SERVER=FILE`: a recorded list of a server's tools")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only the summary")
	cmd.Flags().BoolVar(&strict, "strict", false, "fail also if a decision cannot be told, or a line cannot be read")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) replay(ctx context.Context, path string, lists map[string]string) (*trial.Replay, error) {
	cfg, err := complete(config.Open(a.config))
	if err != nil {
		return nil, err
	}
	p, err := trial.Open(cfg)
	if err != nil {
		return nil, err
	}
	log := a.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading the audit file: %w", err)
		}
		defer f.Close()
		log = io.Reader(f)
	}
	return p.Replay(ctx, log, lists)
}
