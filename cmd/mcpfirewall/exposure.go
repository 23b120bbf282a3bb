package main

import (
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/vault"
)

// exposures warns of references whose values others can read on their way to where they
// are used. It goes by the text of the configuration, so nothing is resolved for it.
func exposures(cfg *config.Config) config.Problems {
	var problems config.Problems
	warn := func(path, message string) {
		p := cfg.Problem(path, 0, message, "")
		p.Warning = true
		problems = append(problems, p)
	}
	const inClear = "goes over the network in clear text, where all on the way can read it: use https://, unless something else encrypts the way"
	fromVault := false
	for path, text := range referring(cfg) {
		if len(refsOf(text)) == 0 {
			continue
		}
		fromVault = fromVault || slices.ContainsFunc(refsOf(text), func(r *vault.Ref) bool { return r.Source == vault.SourceVault })
		if strings.Contains(path, ".args[") {
			warn(path, "the value becomes part of the server's command line, which every user of this machine can read: pass it in env, if the server takes it from there")
		}
	}
	for _, s := range cfg.Servers {
		carries := func(r config.Reference) bool { return len(refsOf(r.Text)) > 0 }
		if openHTTP(s.URL) && (slices.ContainsFunc(s.References(), carries) || s.OAuth != nil) {
			warn("servers."+s.Name+".url", "what this server's references stand for "+inClear)
		}
	}
	if fromVault || cfg.Vault != nil {
		address, path := os.Getenv("VAULT_ADDR"), "vault"
		if cfg.Vault != nil && cfg.Vault.Address != "" {
			address, path = cfg.Vault.Address, "vault.address"
		}
		if openHTTP(address) {
			warn(path, "the token for Vault, and what Vault gives for it, "+inClear)
		}
	}
	return problems
}

// warnOfExposures logs them.
func (f *firewall) warnOfExposures(cfg *config.Config) {
	for _, p := range exposures(cfg) {
		f.log.Warn().Str("file", p.File).Int("line", p.Line).Msg(p.Message)
	}
}

// refsOf returns the references in a text. What is wrong with it is reported elsewhere.
func refsOf(text string) []*vault.Ref {
	parts, err := vault.Parse(text)
	if err != nil {
		return nil
	}
	var refs []*vault.Ref
	for _, part := range parts {
		if part.Ref != nil {
			refs = append(refs, part.Ref)
		}
	}
	return refs
}

// openHTTP reports whether a URL leads to another machine without TLS.
func openHTTP(text string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(text), "http://")
	if !ok {
		return false
	}
	u, err := url.Parse("http://" + rest)
	if err != nil {
		return true // a reference stands for the host
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.Unmap().IsLoopback()
}
