package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/spf13/cobra"
)

// version is set at link time for releases: -ldflags "-X main.version=v1.2.3".
var version = ""

// buildVersion returns the version that clients and servers are told.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and the protocol versions that are spoken",
		Example: "  mcpfirewall version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string   `json:"version"`
				Commit   string   `json:"commit"`
				Go       string   `json:"go"`
				Platform string   `json:"platform"`
				Protocol []string `json:"protocol"`
			}{buildVersion(), commit(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, proxy.SupportedVersions()}
			if asJSON {
				if err := json.MarshalWrite(a.out, v); err != nil {
					return fmt.Errorf("writing the result: %w", err)
				}
				fmt.Fprintln(a.out)
				return nil
			}
			fmt.Fprintf(a.out, "mcpfirewall %s\ncommit    %s\ngo        %s\nplatform  %s\nprotocol  %s\n",
				v.Version, v.Commit, v.Go, v.Platform, strings.Join(v.Protocol, ", "))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// commit returns the commit that the binary was built from, as far as it knows.
func commit() string {
	revision, changed := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " with changes"
			}
		}
	}
	return revision + changed
}
