package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/state/sqlite"
	"github.com/mcpfirewall/mcpfirewall/internal/trial"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/spf13/cobra"
)

func (a *app) explainCommand() *cobra.Command {
	var asJSON bool
	var result string
	q := trial.Question{}
	cmd := &cobra.Command{
		Use:   "explain SERVER.TOOL [JSON | -]",
		Short: "Say what the policy makes of a call, and why",
		Long: `explain prints every pattern, rule and limit that speaks of a call, the values that each rule
reads, and what decides. Nothing is called or counted, and no server is started. The call is
taken to be the first of a session, in which the user said what --prompt says; limits stand
as they do now. The arguments are a JSON object; - reads it from standard input.`,
		Example: `  mcpfirewall explain shop.refund '{"order":7,"amount":900}'
  mcpfirewall explain mail.send '{"to":"ann@example.com"}' --prompt 'write to ann@example.com'
  mcpfirewall explain mail.read --result 'a text that the tool returns' --json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := a.arguments(args[1:])
			if err != nil {
				return err
			}
			if server, name, ok := strings.Cut(args[0], "."); !ok || server == "" || name == "" {
				return usageError{fmt.Errorf("%s: the tool is named as in the policy, SERVER.TOOL", args[0])}
			}
			result = strings.TrimSpace(result)
			q.Tool, q.Args = args[0], raw
			if cmd.Flags().Changed("result") {
				q.Result = jsontext.Value(result)
				if jsonrpc.CheckValue([]byte(result), jsonrpc.Limits{}) != nil {
					q.Result = jsonrpc.Quote(result)
				}
			}
			return a.explain(cmd.Context(), q, asJSON)
		},
	}
	cmd.Flags().StringArrayVar(&q.Prompts, "prompt", nil, "a `TEXT` that the user said before")
	cmd.Flags().StringSliceVar(&q.Labels, "label", nil, "a `LABEL` that the session carries")
	cmd.Flags().StringVar(&q.User, "user", proxy.LocalPrincipal(), "`NAME` of the user who calls")
	cmd.Flags().StringToStringVar(&q.Lists, "tools", nil, "`SERVER=FILE`: a recorded list of a server's tools")
	cmd.Flags().StringVar(&result, "result", "", "explain also what becomes of this `RESULT`, a text or JSON")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) explain(ctx context.Context, q trial.Question, asJSON bool) error {
	cfg, err := complete(config.Open(a.config))
	if err != nil {
		return err
	}
	p, err := trial.Open(cfg)
	if err != nil {
		return err
	}
	dir := cfg.State.Path
	if _, err := os.Stat(filepath.Join(dir, sqlite.FileName)); err != nil { // nothing was counted yet, and nothing is to be made
		if dir, err = os.MkdirTemp("", "mcpfirewall-explain-"); err != nil {
			return fmt.Errorf("making a place to count in: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	store := sqlite.New(sqlite.Options{Dir: dir})
	defer store.Close()
	q.Store, q.Now = store, time.Now()
	e, err := p.Explain(ctx, q)
	if err != nil {
		return err
	}
	if asJSON {
		return a.writeJSON(e)
	}
	e.Print(a.out)
	return nil
}
