package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// maxRedacted bounds standard input, in bytes.
const maxRedacted = 64 << 20

// redaction is what the command redact is asked for.
type redaction struct {
	tool    string
	report  string
	plain   bool
	resolve bool
}

func (a *app) redactCommand() *cobra.Command {
	var what redaction
	cmd := &cobra.Command{
		Use:   "redact",
		Short: "Do to standard input what would be done to a result",
		Long: `redact reads a text or one JSON value from standard input and prints what the agent would get
of it, by section redact of the configuration. Where there is no configuration, secrets and all
personal data are masked. With --report json it prints a list of what was found instead: the
detector, the type, where it begins and ends in bytes of the input, and what is done with it,
never the value.

No server is started and no secret is resolved, so the values of references are not known,
unless --resolve is given. The exit status is 1 if the text would be withheld.`,
		Example: `  mcpfirewall redact < result.json
  mcpfirewall redact --tool crm.get_contact --report json < result.json
  echo 'card 4111 1111 1111 1111' | mcpfirewall redact`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if what.report != "" && what.report != "json" {
				return usageError{fmt.Errorf("--report %s: it is json", what.report)}
			}
			return a.redact(cmd.Context(), what)
		},
	}
	cmd.Flags().StringVar(&what.tool, "tool", "", "redact as for a result of this `SERVER.TOOL`")
	cmd.Flags().StringVar(&what.report, "report", "", "print what was found, as `json`, instead of the text")
	cmd.Flags().BoolVar(&what.plain, "text", false, "take the input for plain text even if it is JSON")
	cmd.Flags().BoolVar(&what.resolve, "resolve", false, "resolve the references of the configuration and mask their values too")
	return cmd
}

func (a *app) redact(ctx context.Context, what redaction) error {
	cfg, err := complete(config.Open(a.config))
	o := redact.Options{PII: map[string]redact.Action{redact.AnyType: redact.Mask}}
	switch {
	case err == nil:
		o = policy.Redaction(cfg)
	case errors.Is(err, config.ErrNotFound):
		cfg = nil
		fmt.Fprintln(a.err, "mcpfirewall: there is no configuration: secrets and all personal data are masked")
	default:
		return err
	}
	r, err := redact.New(o)
	if err != nil {
		return err
	}
	if what.resolve && cfg != nil {
		if err := learn(ctx, r, cfg); err != nil {
			return err
		}
	}
	input, err := io.ReadAll(io.LimitReader(a.in, maxRedacted+1))
	if err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	if len(input) > maxRedacted {
		return fmt.Errorf("standard input is larger than %d MiB", maxRedacted>>20)
	}
	look := r.Plain
	if !what.plain && isDocument(input) {
		look = r.JSON
	}
	done, err := look(input, redact.Scope{Tool: what.tool, Tokens: redact.NewTokens()})
	if err != nil {
		return fmt.Errorf("the text would be withheld: %w", err)
	}
	out := done.Text
	if what.report == "json" {
		finds := make([]reported, len(done.Finds))
		for i, f := range done.Finds {
			finds[i] = reported{string(f.Detector), f.Type, f.Start, f.End, string(f.Action)}
		}
		if out, err = json.Marshal(finds); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		out = append(out, '\n')
	}
	if _, err := a.out.Write(out); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// reported is a find in a report.
type reported struct {
	Detector string `json:"detector"`
	Type     string `json:"type"`
	Start    int    `json:"start"`
	End      int    `json:"end"`
	Action   string `json:"action"`
}

// isDocument reports whether the input is one JSON object, list or string: any other JSON
// is a plain text too.
func isDocument(input []byte) bool {
	for _, c := range input {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '{', '[', '"':
			return jsonrpc.CheckValue(input, jsonrpc.Limits{MaxBytes: maxRedacted}) == nil
		}
		return false
	}
	return false
}

// resolveTime is how long resolving references may take.
const resolveTime = 30 * time.Second

// learn has the redactor know the values of all references of the configuration.
func learn(ctx context.Context, r *redact.Redactor, cfg *config.Config) error {
	resolver, err := newVault(cfg, zerolog.Nop())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	defer resolver.Close(ctx)
	var texts []string
	for _, text := range referring(cfg) {
		texts = append(texts, text)
	}
	_, secrets, err := resolver.ExpandAll(ctx, texts)
	for _, s := range secrets {
		r.Add(s.Name, s.Value)
	}
	return err
}
