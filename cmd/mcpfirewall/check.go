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
	"github.com/mcpfirewall/mcpfirewall/internal/trial"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (a *app) checkCommand() *cobra.Command {
	var o checkOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Report every problem of the configuration",
		Long: `check reads the configuration and reports every problem at once: unknown keys, wrong types,
rules that do not compile, references that cannot be read, secrets that are too short to
be masked. With --live it also starts the servers and reports each that fails, and each
pattern that matches nothing that they offer, and holds each rule and limit against the
schemas of their tools; with --tools it does that with lists that were recorded before:
the result of tools/list, or the array in it. The exit status is 1 if there is an error;
warnings alone leave it 0.`,
		Example: `  mcpfirewall check --config ~/mcpfirewall.yaml
  mcpfirewall check --live --json ~/mcpfirewall.yaml
  mcpfirewall check --tools shop=shop.tools.json --tools mail=mail.tools.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flag := a.config
			if len(args) == 1 {
				flag = args[0]
			}
			if o.live && len(o.lists) > 0 {
				return usageError{errors.New("--live asks the servers for their tools, and --tools names lists of them: use one of the two")}
			}
			problems, path, err := a.check(cmd.Context(), flag, &o)
			if err != nil {
				return err
			}
			return a.report(problems, path, o.unheld, asJSON)
		},
	}
	cmd.Flags().BoolVar(&o.live, "live", false, "also start the servers, and compare the policy with what they offer")
	cmd.Flags().StringToStringVar(&o.lists, "tools", nil, "`SERVER=FILE`: compare the policy with a recorded list of a server's tools")
	cmd.Flags().DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for the servers with --live")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// checkOptions say what the configuration is held against.
type checkOptions struct {
	live  bool
	lists map[string]string // files of tools by server
	wait  time.Duration

	unheld bool // set by check: there are rules, and no schema that they were held against
}

// check returns what is wrong with the configuration. The error says why that could not
// be found out.
func (a *app) check(ctx context.Context, flag string, o *checkOptions) (problems config.Problems, path string, err error) {
	if path, err = config.Find(flag); err != nil {
		return nil, "", err
	}
	cfg, err := complete(config.Open(flag))
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
	ctx, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	problems = slices.Concat(f.checkReferences(ctx, o.live), exposures(cfg), policy.RedactionWarnings(cfg))
	var more config.Problems
	switch {
	case o.live:
		more, err = f.checkLive(ctx)
	case len(o.lists) > 0:
		more, err = checkRecorded(cfg, o.lists)
	default:
		o.unheld = speaksOfArguments(cfg)
	}
	if err != nil {
		return nil, "", err
	}
	problems = append(problems, more...)
	return problems.Sorted(), path, nil
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

// speaksOfArguments reports whether the file has anything of its own that a tool's schema
// could prove wrong.
func speaksOfArguments(cfg *config.Config) bool {
	return len(cfg.Tools.Narrow) > 0 ||
		slices.ContainsFunc(cfg.Rules, func(r config.Rule) bool { return r.When != "" && r.Preset == "" }) ||
		slices.ContainsFunc(cfg.Limits, func(l config.Limit) bool { return l.When+l.Sum+l.By != "" && l.Preset == "" })
}

// checkRecorded holds the policy against recorded lists of tools.
func checkRecorded(cfg *config.Config, lists map[string]string) (config.Problems, error) {
	p, err := trial.Open(cfg)
	if err != nil {
		return nil, err
	}
	problems, err := p.Check(lists)
	if err != nil {
		return nil, usageError{fmt.Errorf("--tools: %w", err)}
	}
	return problems, nil
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

// report prints problems for people or programs. unheld says that nothing was found of what
// only a schema shows.
func (a *app) report(problems config.Problems, path string, unheld, asJSON bool) error {
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
		if unheld && !failed {
			entries = append(entries, entry{File: path, Level: "note", Message: unheldNote})
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
	switch {
	case asJSON:
	case unheld:
		fmt.Fprintf(a.out, "%s: ok, but %s\n", path, unheldNote)
	default:
		fmt.Fprintf(a.out, "%s: ok\n", path)
	}
	return nil
}

const unheldNote = "no rule was held against a schema: use --live or --tools"

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
			cfg, err := complete(config.Load(path))
			if err != nil {
				return err
			}
			if _, err := policy.Compile(cfg); err != nil {
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
