package main

import (
	"errors"

	"github.com/mcpfirewall/mcpfirewall/internal/hook/post"
	"github.com/spf13/cobra"
)

// hookCommand is the hook for command lines that package post does not understand. It has
// dealt with the others before main.
func (a *app) hookCommand() *cobra.Command {
	var o post.Options
	cmd := &cobra.Command{
		Use:   "hook",
		Short: "Tell the firewall what the user's prompt is; for the hooks of Claude Code",
		Long: `hook reads what Claude Code gives its UserPromptSubmit hooks on standard input, and gives
the prompt to the firewalls of the same client. They then know its values as the user's.

A firewall is of the same client if it and the hook have the same --session, or, where one
of them has none, if the process that started the firewall started the hook too, directly
or not. Nothing is written to standard output, since that would enter the conversation, and
the exit status is 0 also if there is no firewall. --verbose tells what happened. The
configuration is not read: --config makes no difference.`,
		Example: `  mcpfirewall hook
  mcpfirewall hook --session work
  echo '{"hook_event_name":"UserPromptSubmit","prompt":"Pay Ann"}' | mcpfirewall hook --session work --verbose`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if isTerminal(a.in) {
				return usageError{errors.New("hook reads an event of Claude Code on standard input, and is run by it; see `mcpfirewall hook --help`")}
			}
			post.Run(cmd.Context(), o, a.in, a.err)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Session, "session", "", "`NAME` of the session that the prompt is for")
	cmd.Flags().BoolVar(&o.Verbose, "verbose", false, "tell on standard error what was done")
	// Status 2 would make Claude Code drop the prompt and show the message to the model; 1
	// shows it to the user.
	wrong := func(_ *cobra.Command, err error) error {
		if err == nil || isTerminal(a.in) {
			return err
		}
		a.running = true
		return err
	}
	cmd.SetFlagErrorFunc(wrong)
	cmd.Args = func(cmd *cobra.Command, args []string) error { return wrong(cmd, cobra.NoArgs(cmd, args)) }
	return cmd
}
