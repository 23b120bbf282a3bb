package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (a *app) secretsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "secrets",
		Short:   "Look at the secrets that the configuration refers to",
		Long:    "secrets looks at the references of the configuration, such as ${vault:secret/github#token}.",
		Example: "  mcpfirewall secrets check",
	}
	cmd.AddCommand(a.secretsCheckCommand())
	return cmd
}

func (a *app) secretsCheckCommand() *cobra.Command {
	var asJSON bool
	var subject string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say which references resolve, and how old they are, never their value",
		Long: `check resolves every reference of the configuration and prints where it is used, whether
it resolves, the engine, the version and its age, and for dynamic secrets how long they
last. It never prints a value. To find out, it fetches dynamic secrets, and revokes their
leases at once. References with {user.subject} are another secret for each user; --subject
says for whom they are to be resolved. The exit status is 1 if a reference failed.`,
		Example: `  mcpfirewall secrets check
  mcpfirewall secrets check --subject alice@example.com --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := complete(config.Open(a.config))
			if err != nil {
				return err
			}
			uses, err := a.inspect(cmd.Context(), cfg, subject, wait)
			if err != nil {
				return err
			}
			if asJSON {
				err = a.secretsJSON(uses)
			} else {
				err = a.secretsText(uses)
			}
			if err != nil {
				return fmt.Errorf("writing the result: %w", err)
			}
			if slices.ContainsFunc(uses, func(u usage) bool { return u.status != nil && u.status.Err != nil }) {
				return errFound
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&subject, "subject", "", "resolve references with {user.subject} for this user")
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for all references together")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// usage is a reference at its place in the configuration.
type usage struct {
	at     string
	ref    *vault.Ref
	status *vault.Status // nil for one that needs a user, when there is none
}

// inspect resolves the references of a configuration. What is in use at several
// places is resolved once.
func (a *app) inspect(ctx context.Context, cfg *config.Config, subject string, wait time.Duration) ([]usage, error) {
	log, err := a.newLogger(zerolog.WarnLevel)
	if err != nil {
		return nil, err
	}
	defer log.close()
	secrets, err := newVault(cfg, log.Logger)
	if err != nil {
		return nil, err
	}
	var uses []usage
	var refs []*vault.Ref
	for _, texts := range []iter.Seq2[string, string]{referring(cfg), vaultTexts(cfg)} {
		for at, text := range texts {
			parts, err := vault.Parse(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", at, err)
			}
			for _, part := range parts {
				if part.Ref == nil {
					continue
				}
				uses = append(uses, usage{at: at, ref: part.Ref})
				if known := slices.ContainsFunc(refs, func(r *vault.Ref) bool { return r.Text == part.Ref.Text }); !known && (subject != "" || !part.Ref.PerUser()) {
					refs = append(refs, part.Ref)
				}
			}
		}
	}
	slices.SortStableFunc(uses, func(a, b usage) int {
		pa, pb := cfg.Problem(a.at, 0, "", ""), cfg.Problem(b.at, 0, "", "")
		return cmp.Or(cmp.Compare(pa.Line, pb.Line), cmp.Compare(pa.Column, pb.Column), cmp.Compare(a.at, b.at), cmp.Compare(a.ref.Offset, b.ref.Offset))
	})
	bound, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	found := secrets.Inspect(bound, refs, vault.Vars{Subject: subject})
	// Also after an interruption: the leases are not to be left.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	secrets.Close(ending)
	for i := range uses {
		for j := range found {
			if found[j].Ref.Text == uses[i].ref.Text {
				uses[i].status = &found[j]
			}
		}
	}
	return uses, nil
}

// vaultTexts goes through the values of the section vault, which may refer to what the
// firewall logs in with.
func vaultTexts(cfg *config.Config) iter.Seq2[string, string] {
	return func(yield func(at, text string) bool) {
		if cfg.Vault == nil {
			return
		}
		var walk func(at string, v reflect.Value) bool
		walk = func(at string, v reflect.Value) bool {
			if v.Kind() == reflect.String && strings.Contains(v.String(), "${") {
				return yield(at, v.String())
			}
			if v.Kind() != reflect.Struct {
				return true
			}
			for i := range v.NumField() {
				if !walk(at+"."+v.Type().Field(i).Tag.Get("key"), v.Field(i)) {
					return false
				}
			}
			return true
		}
		walk("vault", reflect.ValueOf(*cfg.Vault))
	}
}

func (a *app) secretsText(uses []usage) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "USED BY\tREFERENCE\tSTATE\n")
	for _, u := range uses {
		fmt.Fprintf(w, "%s\t%s\t%s\n", visible.Text(u.at), visible.Text(u.ref.Name()), visible.Text(u.state()))
	}
	return w.Flush()
}

// state says in a few words what is known.
func (u usage) state() string {
	s := u.status
	switch {
	case s == nil:
		return "one for each user; --subject NAME resolves it for one"
	case s.Err != nil:
		return "FAILED: " + s.Err.Error()
	}
	words := []string{"ok"}
	if s.Engine != "" {
		words = append(words, s.Engine)
	}
	if s.Version > 0 {
		words = append(words, fmt.Sprintf("secret's version %d", s.Version))
	}
	if !s.Written.IsZero() {
		words = append(words, "written "+ago(time.Since(s.Written)))
	}
	switch {
	case s.Lasts > 0 && s.Renewable:
		words = append(words, fmt.Sprintf("lasts %s, renewable", lasting(s.Lasts)))
	case s.Lasts > 0:
		words = append(words, fmt.Sprintf("lasts %s, then fetched anew", lasting(s.Lasts)))
	case !s.Watched:
		words = append(words, "never changes")
	}
	if u.short() {
		words = append(words, "too short to be masked")
	}
	if u.onCommandLine() {
		words = append(words, "on a command line, which every user of this machine can read")
	}
	return strings.Join(words, ", ")
}

// onCommandLine reports whether the value becomes part of one.
func (u usage) onCommandLine() bool { return strings.Contains(u.at, ".args[") }

// short reports what redact says of a value of this length, whatever it is.
func (u usage) short() bool { return redact.Short(strings.Repeat("x", u.status.Bytes)) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ago says how long ago something was, in its largest unit.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute ago"
	case d < 2*time.Hour:
		return plural(int(d.Minutes()), "minute") + " ago"
	case d < 48*time.Hour:
		return plural(int(d.Hours()), "hour") + " ago"
	}
	return plural(int(d.Hours()/24), "day") + " ago"
}

// lasting writes a duration without the units that are zero.
func lasting(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func (a *app) secretsJSON(uses []usage) error {
	type entry struct {
		UsedBy    string     `json:"used_by"`
		Reference string     `json:"reference"`
		Source    string     `json:"source"`
		State     string     `json:"state"` // ok, failed or per-user
		Error     string     `json:"error,omitzero"`
		Engine    string     `json:"engine,omitzero"`
		Version   int        `json:"version,omitzero"`
		Written   *time.Time `json:"written,omitzero"`
		Lasts     int64      `json:"lasts_seconds,omitzero"`
		Renewable bool       `json:"renewable,omitzero"`
		Watched   bool       `json:"watched"`
		PerUser   bool       `json:"per_user,omitzero"`
		Short     bool       `json:"too_short_to_mask,omitzero"`
		Shown     bool       `json:"on_command_line,omitzero"`
	}
	entries := []entry{}
	for _, u := range uses {
		e := entry{UsedBy: u.at, Reference: u.ref.Name(), Source: u.ref.Source, State: "ok", PerUser: u.ref.PerUser(), Shown: u.onCommandLine()}
		switch s := u.status; {
		case s == nil:
			e.State = "per-user"
		case s.Err != nil:
			e.State, e.Error = "failed", s.Err.Error()
		default:
			e.Engine, e.Version, e.Lasts, e.Renewable, e.Watched = s.Engine, s.Version, int64(s.Lasts.Seconds()), s.Renewable, s.Watched
			e.Short = u.short()
			if !s.Written.IsZero() {
				written := s.Written.UTC().Truncate(time.Second)
				e.Written = &written
			}
		}
		entries = append(entries, e)
	}
	if err := json.MarshalWrite(a.out, entries, jsontext.WithIndent("  ")); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.out)
	return err
}
