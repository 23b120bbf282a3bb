package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/audit"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/pace"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/proxy"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/vault"
	"github.com/rs/zerolog"
)

// firewall is a relay with all that it is made of.
type firewall struct {
	*proxy.Relay
	cfg   *config.Config
	audit *audit.Log
	vault *vault.Resolver
	log   *logger

	mu      sync.Mutex // one reload at a time, and none while it closes
	closed  bool
	unwatch context.CancelFunc // nil if nothing is watched
}

// open puts a firewall together. The level is that of the log unless a flag says
// otherwise.
func (a *app) open(cfg *config.Config, level zerolog.Level) (*firewall, error) {
	log, err := a.newLogger(level)
	if err != nil {
		return nil, err
	}
	records, err := audit.Open(audit.Options{Path: cfg.Audit.File})
	if err != nil {
		log.close()
		return nil, err
	}
	f, err := assemble(cfg, records, log)
	if err != nil {
		records.Close()
		log.close()
		return nil, err
	}
	f.warnOfExposures(cfg)
	return f, nil
}

// assemble puts the parts together. The error is config.Problems where the policy of the
// configuration does not compile.
func assemble(cfg *config.Config, records *audit.Log, log *logger) (*firewall, error) {
	masks, err := redact.New(policy.Redaction(cfg))
	if err != nil {
		return nil, err
	}
	log.sink.redact.Store(masks)
	secrets, err := newVault(cfg, log.Logger)
	if err != nil {
		return nil, err
	}
	relay, err := proxy.New(proxy.Options{
		Config: cfg, Vault: secrets, Redact: masks, Audit: records, Log: log.Logger, Version: buildVersion(),
	})
	if err != nil {
		return nil, err
	}
	return &firewall{Relay: relay, cfg: cfg, audit: records, vault: secrets, log: log}, nil
}

// complete takes what package config read. It adds to the problems of a file those of its
// references and, if there are any at all, of its policy, so that all are reported at once.
func complete(cfg *config.Config, err error) (*config.Config, error) {
	if cfg == nil {
		return nil, err
	}
	problems := references(cfg)
	if err == nil && len(problems) == 0 {
		return cfg, nil // who uses the policy compiles it
	}
	if _, err := policy.Compile(cfg); err != nil {
		var more config.Problems // with those of the file
		if !errors.As(err, &more) {
			return nil, err
		}
		problems = append(problems, more...)
	}
	return nil, problems.Sorted()
}

// references reports the references that are not written as such, and those to Vault where
// it is said how to get into it.
func references(cfg *config.Config) config.Problems {
	var problems config.Problems
	parse := func(path, text string) []vault.Part {
		if list, _, ok := strings.Cut(path, "["); !cfg.Sound(path) || ok && !cfg.Sound(list) {
			return nil // something else is wrong there, and indexes of a list no longer agree
		}
		parts, err := vault.Parse(text)
		var wrong *vault.Problem
		if errors.As(err, &wrong) {
			problems = append(problems, cfg.Problem(path, wrong.Offset, wrong.Message, wrong.Suggestion))
		}
		return parts
	}
	for path, text := range referring(cfg) {
		parse(path, text)
	}
	for _, r := range cfg.Vault.References() {
		for _, part := range parse(r.Path, r.Text) {
			if part.Ref != nil && part.Ref.Source == vault.SourceVault {
				problems = append(problems, cfg.Problem(r.Path, 0, "this cannot come out of Vault, as it is needed to get into it: use ${env:NAME} or ${file:PATH}", ""))
			}
		}
	}
	return problems
}

// referring goes through the values of the servers that may hold references, by their
// place in the file.
func referring(cfg *config.Config) iter.Seq2[string, string] {
	return func(yield func(path, text string) bool) {
		for _, s := range cfg.Servers {
			for _, r := range append(s.References(), s.OAuth.References()...) {
				if !yield("servers."+s.Name+"."+r.Path, r.Text) {
					return
				}
			}
		}
	}
}

// newVault makes the resolver of references. Vault itself is not asked before a server
// needs it.
func newVault(cfg *config.Config, log zerolog.Logger) (*vault.Resolver, error) {
	o := vault.Options{Log: log}
	if cfg.Path != "" {
		o.Dir = filepath.Dir(cfg.Path)
	}
	if v := cfg.Vault; v != nil {
		o.Address, o.Namespace = v.Address, v.Namespace
		o.CACert, o.CAPath, o.ClientCert, o.ClientKey, o.TLSServerName = v.CACert, v.CAPath, v.ClientCert, v.ClientKey, v.TLSServerName
		a := v.Auth
		o.Token = a.Token
		o.Auth = vault.Auth{
			Method: a.Method, Mount: a.Mount, Namespace: a.Namespace, Role: a.Role,
			RoleID: a.RoleID, SecretID: a.SecretID, SecretIDWrapped: a.SecretIDWrapped,
			JWT: a.JWT, Username: a.Username, Password: a.Password,
		}
	}
	return vault.New(o)
}

// close ends the firewall: requests under way get until the end of the configured grace.
func (f *firewall) close() {
	f.mu.Lock()
	f.closed = true
	grace := f.cfg.Listen.ShutdownGrace
	if f.unwatch != nil {
		f.unwatch()
	}
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	f.Relay.Close(ctx)
	if err := f.audit.Close(); err != nil {
		f.log.Error().Err(err).Msg("audit file not closed")
	}
	f.log.close()
}

// The first answer is out after answeredAfter, and after trimAfter the start is over, for most
// servers too.
const (
	answeredAfter = 60 * time.Millisecond
	trimAfter     = 500 * time.Millisecond
)

// trimSoon gives back what the start took.
func (f *firewall) trimSoon() {
	time.AfterFunc(answeredAfter, pace.Start)
	time.AfterFunc(trimAfter, func() {
		if err := trim(); err != nil {
			f.log.Debug().Err(err).Msg("memory of the start not given back")
		}
	})
}

// watch reloads the configuration when its file changes or is trusted, and on SIGHUP, which
// also reopens the audit file, until ctx ends or the firewall closes.
func (f *firewall) watch(ctx context.Context, a *app) {
	f.mu.Lock()
	ctx, f.unwatch = context.WithCancel(ctx)
	cfg := f.cfg
	f.mu.Unlock()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				f.reopen()
				f.reload(a.config, true)
			}
		}
	}()
	if cfg.Path == "" {
		return // `wrap` has no file
	}
	if err := cfg.Watch(ctx, func() { f.reload(a.config, false) }); err != nil {
		f.log.Warn().Err(err).Msg("changes of the configuration are not noticed; SIGHUP reloads it")
	}
}

func (f *firewall) reopen() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if err := f.audit.Reopen(); err != nil {
		f.log.Error().Err(err).Msg("audit file not reopened; the old one stays in use")
	}
}

// reload puts the configuration as it is now in force, whole or not at all. One that is in
// force already is put in force again only if forced.
func (f *firewall) reload(flag string, force bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.cfg.Path == "" {
		return
	}
	cfg, err := complete(config.Open(flag))
	if err == nil && !force && cfg.Path == f.cfg.Path && cfg.Digest == f.cfg.Digest {
		return
	}
	if err == nil {
		err = reloadable(f.cfg, cfg)
	}
	if err == nil {
		err = f.Relay.Reload(cfg)
	}
	if err != nil {
		event := f.log.Error()
		var problems config.Problems
		if errors.As(err, &problems) {
			lines := make([]string, len(problems))
			for i, p := range problems {
				lines[i] = p.String()
			}
			event = event.Strs("problems", lines)
		} else {
			event = event.Err(err)
		}
		event.Msg("configuration not reloaded; the old one stays in force")
		digest, _ := config.Digest(f.cfg.Path) // "" if it is gone
		f.Refused(fmt.Sprintf("%s %s: %s", f.cfg.Path, digest, brief(err)))
		return
	}
	f.cfg = cfg
	f.log.Info().Str("file", cfg.Path).Msg("configuration reloaded")
	f.warnOfExposures(cfg)
}

// brief is an error for a record: of problems, the first few without their source lines.
func brief(err error) string {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return err.Error()
	}
	const most = 3
	var lines []string
	for i, p := range problems {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(problems)-most))
			break
		}
		line, _, _ := strings.Cut(p.String(), "\n")
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

// reloadable reports what of a new configuration only a new start can put in force.
func reloadable(old, new *config.Config) error {
	if changed := old.NeedsRestart(new); len(changed) > 0 {
		return fmt.Errorf("these changes need a restart of the firewall: %s", strings.Join(changed, ", "))
	}
	return nil
}
