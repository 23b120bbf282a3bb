// Package vault turns references such as ${vault:secret/github#token} into
// values, from HashiCorp Vault, the environment and files.
//
//	r, err := vault.New(vault.Options{Dir: folderOfTheConfiguration})
//	values, secrets, err := r.ExpandAll(ctx, []string{"Bearer ${vault:secret/crm#api_key}"})
//
// Vault itself is met only when a reference to it is expanded; without one, no
// address is needed and no request is sent. Where Options leave something open,
// the VAULT_* variables and the token file say it, as for Vault's own command line.
//
// An error says which reference it is about, what happened, why, and what to do.
// It never holds a value or a token.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// Options say where values come from. The zero value is good for the usual
// environment of Vault's command line.
type Options struct {
	// Address is Vault's URL, instead of VAULT_ADDR.
	Address string
	// Namespace is the Vault Enterprise namespace, instead of VAULT_NAMESPACE.
	Namespace string
	// CACert is the path of a PEM file with the certificates that Vault's own
	// must verify with, instead of VAULT_CACERT.
	CACert string
	// CAPath is the path of a folder of such files, instead of VAULT_CAPATH.
	CAPath string
	// ClientCert and ClientKey are the paths of the PEM files that we show Vault
	// over TLS, instead of VAULT_CLIENT_CERT and VAULT_CLIENT_KEY. They are read
	// again for each connection.
	ClientCert, ClientKey string
	// TLSServerName is the name that Vault's certificate must have, instead of
	// VAULT_TLS_SERVER_NAME and the host of the address.
	TLSServerName string
	// Auth says how we log in. The zero value takes a token as Vault's command
	// line does.
	Auth Auth
	// Token is the token of the method token, instead of VAULT_TOKEN and what
	// `vault login` left. It may hold references to the environment and to files,
	// which are resolved when Vault is first needed.
	Token string
	// Dir is the folder that relative paths of file references start from; ""
	// is the working folder.
	Dir string
	// Timeout bounds one Expand or ExpandAll; 0 is 30 seconds.
	Timeout time.Duration
	// Env looks up environment variables for env references; nil is os.LookupEnv.
	Env func(string) (string, bool)
	// Log is told of what happens to the login in the background. The zero value
	// discards it.
	Log zerolog.Logger
}

// Secret is a value that a reference stood for.
type Secret struct {
	Name  string // where it is from, such as vault:secret/github#token
	Value string
}

// Resolver expands references. It is safe for concurrent use.
type Resolver struct {
	options Options
	logins  logins
}

const (
	defaultTimeout = 30 * time.Second

	// maxFile bounds the size in bytes of a file that a reference names.
	maxFile = 64 << 10
)

// New returns a Resolver. It contacts nothing and reads nothing yet.
func New(o Options) (*Resolver, error) {
	if o.Timeout < 0 {
		return nil, fmt.Errorf("the time limit for resolving secrets is %v; it must not be negative", o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if err := o.Auth.check(); err != nil {
		return nil, err
	}
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	return &Resolver{options: o}, nil
}

// Expand returns s with every reference replaced by its value, and the values.
func (r *Resolver) Expand(ctx context.Context, s string) (value string, secrets []Secret, err error) {
	values, secrets, err := r.ExpandAll(ctx, []string{s})
	if err != nil {
		return "", nil, err
	}
	return values[0], secrets, nil
}

// ExpandAll expands several strings that belong together, such as everything
// that one server is started with. Each path of Vault and each file is read once,
// so that fields which change together are of the same version. The values are in
// the order of in; secrets has each reference once. The error joins those of all
// references that failed, and then there are no values.
func (r *Resolver) ExpandAll(ctx context.Context, in []string) (values []string, secrets []Secret, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	b := &batch{r: r, done: map[string]outcome{}, reads: map[string]read{}}
	var failed []error
	for _, s := range in {
		parts, err := Parse(s)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		var out strings.Builder
		for _, part := range parts {
			if part.Ref == nil {
				out.WriteString(part.Text)
				continue
			}
			name := part.Ref.Name()
			o, again := b.done[name]
			if !again {
				o.value, o.err = b.value(ctx, part.Ref)
				b.done[name] = o
				if o.err != nil {
					failed = append(failed, fmt.Errorf("%s: %w", part.Ref.Text, o.err))
				} else {
					secrets = append(secrets, Secret{Name: name, Value: o.value})
				}
			}
			out.WriteString(o.value)
		}
		values = append(values, out.String())
	}
	if len(failed) > 0 {
		return nil, nil, errors.Join(failed...)
	}
	if len(b.reads) > 0 {
		secrets = append(secrets, r.loginSecrets()...)
	}
	return values, secrets, nil
}

// batch is the state of one ExpandAll.
type batch struct {
	r     *Resolver
	done  map[string]outcome // by name of the reference
	reads map[string]read    // by path in Vault
	down  error              // why Vault as a whole cannot be used; asked no more
}

type outcome struct {
	value string
	err   error
}

// value returns the value of one reference.
func (b *batch) value(ctx context.Context, ref *Ref) (value string, err error) {
	switch ref.Source {
	case SourceVault:
		value, err = b.vault(ctx, ref)
	case SourceEnv:
		value, err = b.r.env(ref.Path)
	case SourceFile:
		value, err = b.r.file(ref.Path)
	}
	switch {
	case err != nil:
		return "", err
	case value == "":
		return "", errors.New("the value is empty, and an empty credential is never sent; store one, or remove the reference")
	case !utf8.ValidString(value) || strings.Contains(value, "\x00"):
		return "", errors.New("the value is not text: it is not UTF-8 or holds a NUL byte; store it encoded, such as in base64")
	}
	return value, nil
}

func (r *Resolver) env(name string) (string, error) {
	value, ok := r.options.Env(name)
	if !ok {
		return "", fmt.Errorf("the environment variable %s is not set; set it where mcpfirewall is started", name)
	}
	return value, nil
}

func (r *Resolver) file(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("finding the home folder: %w", err)
		}
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.options.Dir, path)
	}
	// Before it is opened, because opening a pipe could wait for ever.
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("reading the secret's file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file but a %s; name a file that holds the value and nothing else", path, describe(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the secret's file: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("reading the secret's file: %w", err)
	}
	if len(content) > maxFile {
		return "", fmt.Errorf("%s is larger than %d KiB; name a file that holds the value and nothing else", path, maxFile>>10)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

func describe(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "folder"
	case mode&os.ModeNamedPipe != 0:
		return "pipe"
	case mode&os.ModeSocket != 0:
		return "socket"
	}
	return "device"
}
