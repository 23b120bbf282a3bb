package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/trial"
	"github.com/spf13/cobra"
)

func (a *app) testCommand() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test [FILE...]",
		Short: "Run the tests of a policy, without servers",
		Long: `test runs policy tests: files that say what the user says, what the agent calls, and the
decision that is expected of each call. Without FILE it runs every *_test.yaml beside the
configuration. No server is started: which tools there are is read from recorded lists that
the tests name. The exit status is 1 if a test fails, or covers less than --cover-min of the
policy.`,
		Example: `  mcpfirewall test --config ~/mcpfirewall.yaml
  mcpfirewall test -v --run refund --cover policy_test.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.coverMin < 0 || o.coverMin > 100 {
				return usageError{errors.New("--cover-min is a percentage, from 0 to 100")}
			}
			return a.test(cmd.Context(), args, o)
		},
	}
	cmd.Flags().StringVar(&o.run, "run", "", "run only the tests whose name matches `REGEXP`")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "name the tests that pass, too")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&o.cover, "cover", false, "print what of the policy no test reached")
	cmd.Flags().Float64Var(&o.coverMin, "cover-min", 0, "fail if less than `PERCENT` of the policy was reached")
	return cmd
}

type testOptions struct {
	run                    string
	verbose, asJSON, cover bool
	coverMin               float64
}

// tried is one configuration and what the tests reached of it.
type tried struct {
	path   string
	policy *trial.Policy
	cover  *trial.Coverage
}

func (a *app) test(ctx context.Context, files []string, o testOptions) error {
	run, err := regexp.Compile(o.run)
	if err != nil {
		return usageError{fmt.Errorf("--run: %w", err)}
	}
	if len(files) == 0 {
		path, err := config.Find(a.config)
		if err != nil {
			return err
		}
		if files, err = filepath.Glob(filepath.Join(filepath.Dir(path), "*_test.yaml")); err != nil || len(files) == 0 {
			return fmt.Errorf("there are no tests (*_test.yaml) in %s: name a file", filepath.Dir(path))
		}
	}
	var all []*tried
	out, failed := trial.ReportJSON{Files: []trial.FileJSON{}, Coverage: []trial.CoverageJSON{}}, false
	for _, file := range files {
		suite, err := trial.Load(file)
		if err != nil {
			return err
		}
		named := suite.Config
		if named == "" && a.config == "" {
			named = suite.Beside()
		}
		if all, err = a.try(all, named); err != nil {
			return err
		}
		c := all[len(all)-1]
		report, err := suite.Run(ctx, c.policy, trial.Options{Run: run, Cover: c.cover})
		if err != nil {
			return err
		}
		failed = failed || report.Failed() > 0
		if out.Files = append(out.Files, report.JSON()); !o.asJSON {
			report.Print(a.out, o.verbose)
		}
	}
	for _, c := range all {
		if !o.asJSON && (o.cover || o.coverMin > 0) {
			c.cover.Print(a.out, o.cover)
		}
		out.Coverage = append(out.Coverage, c.cover.JSON(c.path))
		if c.cover.Percent() < o.coverMin {
			failed = true
			fmt.Fprintf(a.err, "mcpfirewall: the tests reach %.1f%% of %s, and --cover-min is %g%%\n", c.cover.Percent(), c.path, o.coverMin)
		}
	}
	if o.asJSON {
		out.Passed = !failed
		if err := a.writeJSON(out); err != nil {
			return err
		}
	}
	if failed {
		return errFound
	}
	return nil
}

// try brings the configuration that a file of tests names to the end of the list; without a
// name it is that of the command line.
func (a *app) try(all []*tried, named string) ([]*tried, error) {
	if named == "" {
		path, err := config.Find(a.config)
		if err != nil {
			return nil, err
		}
		named = path
	}
	if i := slices.IndexFunc(all, func(c *tried) bool { return c.path == named }); i >= 0 {
		c := all[i]
		return append(slices.Delete(all, i, i+1), c), nil
	}
	cfg, err := complete(config.Load(named)) // nothing of it is started, so it need not be trusted
	if err != nil {
		return nil, err
	}
	p, err := trial.Open(cfg)
	if err != nil {
		return nil, err
	}
	return append(all, &tried{named, p, trial.NewCoverage(p)}), nil
}

// writeJSON prints one value for programs.
func (a *app) writeJSON(v any) error {
	if err := json.MarshalWrite(a.out, v, jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	fmt.Fprintln(a.out)
	return nil
}
