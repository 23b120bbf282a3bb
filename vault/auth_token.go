package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/vault/api"
)

// givenToken returns the token of the method token: the configuration's, then
// VAULT_TOKEN, then what `vault login` left with the token helper. It is looked
// for again at each login, since another process may renew what it finds. There is
// none for an agent that logs in by itself.
func (r *Resolver) givenToken(ctx context.Context) (string, error) {
	if r.options.Token != "" {
		return r.local(ctx, "token", r.options.Token)
	}
	token := strings.TrimSpace(os.Getenv(api.EnvVaultToken))
	if token == "" {
		var err error
		if token, err = helperToken(ctx); err != nil {
			return "", err
		}
	}
	if token == "" && r.options.Address == "" && os.Getenv(api.EnvVaultAgentAddr) != "" {
		return "", nil // the agent adds its own
	}
	if token == "" {
		return "", errors.New("there is no token for Vault; set VAULT_TOKEN, or log in with `vault login`, which writes ~/.vault-token")
	}
	r.logins.know("vault token", token)
	return token, nil
}

// helperToken returns the token that `vault login` left, or "": with the program
// that ~/.vault, or the file of VAULT_CONFIG_PATH, names as token_helper, and
// otherwise in ~/.vault-token.
func helperToken(ctx context.Context) (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", nil // no home, no file
	}
	path := os.Getenv("VAULT_CONFIG_PATH")
	if path == "" {
		path = filepath.Join(home, ".vault")
	} else if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(home, rest)
	}
	var config struct {
		TokenHelper string `hcl:"token_helper"`
	}
	switch content, err := readSmall(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("reading the configuration of Vault's command line: %w", err)
	default:
		if err := hcl.Decode(&config, string(content)); err != nil {
			return "", fmt.Errorf("%s is not a configuration of Vault's command line: it must be HCL or JSON, with the key token_helper; "+
				"correct it, or move it away if it belongs to another program", path)
		}
	}
	if config.TokenHelper != "" {
		return runHelper(ctx, config.TokenHelper)
	}
	content, err := readSmall(filepath.Join(home, ".vault-token"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading Vault's token: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// readSmall reads a file that belongs to Vault's command line.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened, because opening a pipe could wait for ever
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file but a %s", path, describe(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s is larger than %d KiB", path, maxFile>>10)
	}
	return content, err
}

// helperTime bounds the run of a token helper, which may ask the system's keychain.
const helperTime = 10 * time.Second

// runHelper asks a token helper, as Vault's command line does: the program gets
// the argument get and writes the token, or nothing, to its standard output.
func runHelper(ctx context.Context, path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("the token helper of Vault's command line, %q, must be given with its whole path", path)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "get")
	cmd.WaitDelay = time.Second
	var out capped
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		// What it says could be the token.
		return "", fmt.Errorf("the token helper of Vault's command line, %s, failed: %w; try `%[1]s get`, or log in anew with `vault login`", path, err)
	}
	return strings.TrimSpace(string(out.kept)), nil
}

// capped keeps what a file of maxFile bytes could hold, and fails beyond. It does
// not embed its buffer, whose ReadFrom would go round the limit.
type capped struct{ kept []byte }

var errOutput = fmt.Errorf("its output is larger than %d KiB", maxFile>>10)

func (c *capped) Write(p []byte) (int, error) {
	if len(c.kept)+len(p) > maxFile {
		return 0, errOutput
	}
	c.kept = append(c.kept, p...)
	return len(p), nil
}
