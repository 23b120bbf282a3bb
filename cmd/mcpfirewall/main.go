// Command mcpfirewall stands between an agent and its MCP servers. It is an MCP server
// to the client and an MCP client to the servers, and every message passes it.
//
// The commands here read flags and files, put the packages together and turn what comes
// of it into output and an exit status: 0 done, 1 failed or found something, 2 wrong use.
// Standard output is the result, or the protocol; standard error is for people.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// A client that is gone must end a write with an error, not the process with a
	// signal. Ignoring the signal would do too, but servers would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // the second signal ends the process at once
	}()
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errFound is the error of a command that has said already what is wrong.
var errFound = errors.New("found something")

// usageError is what is wrong with flags or arguments beyond their form.
type usageError struct{ error }

// execute runs the command line and returns the exit status.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case !a.running || errors.As(err, new(usageError)):
		fmt.Fprintf(errOut, "mcpfirewall: %v\nRun `mcpfirewall --help` for how it is used.\n", err)
		return 2
	case !errors.Is(err, errFound):
		fmt.Fprintf(errOut, "mcpfirewall: %v\n", err)
	}
	return 1
}

// app is what the commands share: the standard streams and the flags of all commands.
type app struct {
	in  io.Reader
	out io.Writer
	err io.Writer

	running  bool // a command was found and its flags and arguments were right
	config   string
	logLevel string
	logFile  string
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "mcpfirewall",
		Short: "A firewall between an agent and its MCP servers",
		Long: `mcpfirewall stands between an agent, such as Claude, and its MCP servers. Every message
passes it and is listed, checked, asked about, redacted, recorded or refused, as one
configuration file says.

  mcpfirewall demo                     see what it does; nothing has to be installed
  mcpfirewall wrap -- COMMAND          put one server behind it, without a file
  mcpfirewall run --config FILE        serve a client over standard input and output
  mcpfirewall serve --config FILE      serve clients over HTTP`,
		Example:          "  claude mcp add firewall -- mcpfirewall run --config ~/mcpfirewall.yaml",
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { a.running = true },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", "", "configuration `FILE` (default $MCPFIREWALL_CONFIG, then the user's folder, then a trusted ./mcpfirewall.yaml)")
	flags.StringVar(&a.logLevel, "log-level", "", "what is logged: trace, debug, info, warn or error (default info, for commands that print a result warn)")
	flags.StringVar(&a.logFile, "log-file", "", "append the log to `FILE` as JSON lines instead of writing it to standard error")
	root.AddCommand(a.runCommand(), a.serveCommand(), a.wrapCommand(), a.checkCommand(), a.trustCommand(),
		a.toolsCommand(), a.callCommand(), a.hookCommand(), a.demoCommand(), a.versionCommand(), a.testCommand(), a.explainCommand(), a.replayCommand(), a.secretsCommand(), a.redactCommand())
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			cmd.Example = "  mcpfirewall completion bash > /etc/bash_completion.d/mcpfirewall"
			for _, shell := range cmd.Commands() {
				shell.Example = "  mcpfirewall completion " + shell.Name() + " > FILE"
			}
		case "help":
			cmd.Example = "  mcpfirewall help call"
			cmd.Args = func(_ *cobra.Command, args []string) error {
				named, rest, err := root.Find(args)
				if err == nil && len(rest) > 0 {
					err = unknownCommand(named, rest[0])
				}
				return err
			}
		}
		needCommand(cmd)
	}
	needCommand(root)
	return root
}

// needCommand makes it a wrong use to run a command without one of its own, if it does
// nothing itself, and to give it one that it does not have.
func needCommand(cmd *cobra.Command) {
	if !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return nil
	}
	cmd.RunE = func(*cobra.Command, []string) error {
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() && c.Name() != "help" {
				names = append(names, strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" "))
			}
		}
		return usageError{fmt.Errorf("which command? One of %s", strings.Join(names, ", "))}
	}
}

func unknownCommand(of *cobra.Command, name string) error {
	text := fmt.Sprintf("unknown command %q for %q", name, of.CommandPath())
	of.SuggestionsMinimumDistance = 2
	if near := of.SuggestionsFor(name); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return usageError{errors.New(text)}
}
