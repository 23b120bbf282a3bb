package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (a *app) checkCommand() *cobra.Command {
	var live, asJSON bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Report every problem of the configuration",
		Long: `check reads the configuration and reports every problem at once: unknown keys, wrong types,
rules that do not compile, references that cannot be read, secrets that are too short to
be masked. With --live it also starts the servers and reports each that fails, and each
pattern that matches nothing that they offer. The exit status is 1 if there is an error;
warnings alone leave it 0.`,
		Example: `  mcpfirewall check --config ~/mcpfirewall.yaml
  mcpfirewall check --live --json ~/mcpfirewall.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flag := a.config
			if len(args) == 1 {
				flag = args[0]
			}
			problems, path, err := a.check(cmd.Context(), flag, live, wait)
			if err != nil {
				return err
			}
			return a.report(problems, path, asJSON)
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "also start the servers, and compare patterns with what they offer")
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the servers with --live")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// check returns what is wrong with the configuration. The error says why that could not
// be found out.
func (a *app) check(ctx context.Context, flag string, live bool, wait time.Duration) (problems config.Problems, path string, err error) {
	if path, err = config.Find(flag); err != nil {
		return nil, "", err
	}
	cfg, err := config.Open(flag)
	if err != nil {
		if errors.As(err, &problems) {
			return problems, path, nil
		}
		return nil, "", err
	}
	log, err := a.newLogger(zerolog.ErrorLevel)
	if err != nil {
		return nil, "", err
	}
	f, err := assemble(cfg, audit.Discard(), log) // no call is made that a record would be of
	if err != nil {
		log.close()
		if errors.As(err, &problems) {
			return problems, path, nil
		}
		return nil, "", err
	}
	defer f.close()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	problems = slices.Concat(f.checkReferences(ctx, live), exposures(cfg), policy.RedactionWarnings(cfg))
	if live {
		more, err := f.checkLive(ctx)
		if err != nil {
			return nil, "", err
		}
		problems = append(problems, more...)
	}
	sortProblems(problems)
	return problems, path, nil
}

// checkReferences resolves the references of the servers, those to Vault only if it may
// be asked. One that cannot be resolved here may be where the firewall will run, so that
// is a warning.
func (f *firewall) checkReferences(ctx context.Context, live bool) config.Problems {
	var problems config.Problems
	warn := func(path, message string) {
		p := f.cfg.Problem(path, 0, message, "")
		p.Warning = true
		problems = append(problems, p)
	}
	for path, text := range referring(f.cfg) {
		parts, err := vault.Parse(text)
		if err != nil || !live && slices.ContainsFunc(parts, func(p vault.Part) bool { return p.Ref != nil && p.Ref.Source == vault.SourceVault }) {
			continue
		}
		g, err := f.vault.Acquire(ctx, []string{text}, vault.Vars{Subject: proxy.LocalPrincipal()})
		if err != nil {
			warn(path, err.Error())
			continue
		}
		g.Close()
		if strings.Contains(path, ".headers.") {
			if err := proxy.CheckHeader(text, g.Values[0], g.Secrets); err != nil {
				warn(path, err.Error())
			}
		}
		for _, s := range g.Secrets {
			if redact.Short(s.Value) {
				warn(path, fmt.Sprintf("the value of %s is shorter than 8 bytes: it is not masked where it appears, because that would wreck all output", s.Name))
			}
		}
	}
	return problems
}

// checkLive starts the servers, and reports those that fail and the patterns that match
// nothing of what the others offer.
func (f *firewall) checkLive(ctx context.Context) (config.Problems, error) {
	f.Start()
	s, t, err := f.connect(ctx, "mcpfirewall check", proxy.ModernVersion)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	var problems config.Problems
	down := false
	for _, server := range s.Inventory(ctx).Servers {
		if server.Error != "" {
			down = true
			problems = append(problems, f.cfg.Problem("servers."+server.Name, 0, "the server failed: "+server.Error, ""))
		}
	}
	for _, p := range s.Findings() {
		p.Warning = p.Warning || down // it may match what a server that failed would offer
		problems = append(problems, p)
	}
	return problems, nil
}

// report prints problems for people or programs.
func (a *app) report(problems config.Problems, path string, asJSON bool) error {
	failed := false
	for _, p := range problems {
		failed = failed || !p.Warning
	}
	switch {
	case asJSON:
		type entry struct {
			File       string `json:"file"`
			Line       int    `json:"line,omitzero"`
			Column     int    `json:"column,omitzero"`
			Level      string `json:"level"`
			Message    string `json:"message"`
			Suggestion string `json:"suggestion,omitzero"`
		}
		entries := []entry{}
		for _, p := range problems {
			e := entry{File: p.File, Line: p.Line, Column: p.Column, Level: "error", Message: p.Message, Suggestion: p.Suggestion}
			if p.Warning {
				e.Level = "warning"
			}
			entries = append(entries, e)
		}
		if err := json.MarshalWrite(a.out, entries, jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("writing the result: %w", err)
		}
		fmt.Fprintln(a.out)
	case len(problems) > 0:
		fmt.Fprintln(a.out, problems.Error())
	}
	if failed {
		return errFound
	}
	if !asJSON {
		fmt.Fprintf(a.out, "%s: ok\n", path)
	}
	return nil
}

func (a *app) trustCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "trust [FILE]",
		Short: "Allow a configuration file in the current folder to be used",
		Long: `trust records that ./mcpfirewall.yaml, or FILE, may be used as it is now. A file in the
current folder is used only after that, and after each change again, because a repository
that somebody cloned must not bring its own policy, commands or Vault address. Read the
file first.`,
		Example: `  mcpfirewall trust
  mcpfirewall trust ./mcpfirewall.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := config.FileName
			switch {
			case len(args) == 1:
				path = args[0]
			case a.config != "":
				path = a.config
			}
			// A file that is trusted and then refused would be a surprise later.
			if _, err := config.Load(path); err != nil {
				return err
			}
			if err := config.Trust(path, ""); err != nil {
				return err
			}
			abs, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "trusted as it is now: %s\n", abs)
			return nil
		},
	}
}
