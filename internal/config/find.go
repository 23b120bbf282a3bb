package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// FileName is the name of the configuration file, in the user's folder as in
// the current one.
const FileName = "mcpfirewall.yaml"

// ErrNotFound is wrapped by the error of [Find] when there is no configuration
// anywhere.
var ErrNotFound = errors.New("no configuration found")

// ErrNotTrusted is wrapped by the error of [Find] when there is only a file in
// the current folder that the user has not trusted, or not as it is now.
var ErrNotTrusted = errors.New("the configuration in the current folder is not trusted")

// Find returns the absolute path of the configuration to use: the flag's, that
// of $MCPFIREWALL_CONFIG, mcpfirewall.yaml in the user's configuration folder,
// or, if it is trusted, mcpfirewall.yaml in the current folder. A cloned
// repository must not bring its own policy, commands or Vault address.
//
// The file may change between Find and [Load]; [Open] does both at once and
// uses only the bytes that were trusted.
func Find(flag string) (path string, err error) {
	path, _, err = find(flag)
	return path, err
}

// Open finds the configuration as [Find] does and loads it as [Load] does, with
// problems too. A
// reload calls it again, so that a changed file in the current folder is used
// only once it is trusted again.
func Open(flag string) (*Config, error) {
	path, digest, err := find(flag)
	if err != nil {
		return nil, err
	}
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if digest != "" && digestOf(data) != digest {
		return nil, notTrusted(path, true)
	}
	cfg, err := Parse(path, data)
	if cfg != nil {
		cfg.trusted = digest != ""
	}
	return cfg, err
}

// find also returns the digest that the file must have, "" if any will do.
func find(flag string) (path, digest string, err error) {
	for _, named := range []struct{ by, path string }{
		{"--config", flag},
		{"$MCPFIREWALL_CONFIG", os.Getenv("MCPFIREWALL_CONFIG")},
	} {
		if named.path == "" {
			continue
		}
		path, err := filepath.Abs(named.path)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return "", "", fmt.Errorf("finding the configuration that %s names: %w", named.by, err)
		}
		return path, "", nil
	}

	looked := ""
	if user, err := UserFile(); err == nil {
		if _, err := os.Stat(user); err == nil {
			return user, "", nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", "", fmt.Errorf("finding the configuration: %w", err)
		}
		looked = user + " and "
	}

	local, err := filepath.Abs(FileName)
	if err != nil {
		return "", "", fmt.Errorf("finding the current folder: %w", err)
	}
	if _, err := os.Stat(local); errors.Is(err, os.ErrNotExist) {
		return "", "", fmt.Errorf("%w: looked for %s%s; name one with --config FILE or $MCPFIREWALL_CONFIG", ErrNotFound, looked, local)
	} else if err != nil {
		return "", "", fmt.Errorf("finding the configuration: %w", err)
	}
	digest, known, err := trustedDigest(local, "")
	if err != nil {
		return "", "", err
	}
	data, err := readFile(local)
	if err != nil {
		return "", "", fmt.Errorf("reading the configuration: %w", err)
	}
	if !known || digestOf(data) != digest {
		return "", "", notTrusted(local, known)
	}
	return local, digest, nil
}

func notTrusted(path string, changed bool) error {
	why := "it may come from somebody else"
	if changed {
		why = "it was changed since it was trusted"
	}
	return fmt.Errorf("%w: %s: %s; read it, then run `mcpfirewall trust`, or name it with --config", ErrNotTrusted, path, why)
}

// UserFile returns the path of the configuration in the user's folder, such as
// ~/.config/mcpfirewall/mcpfirewall.yaml, whether it exists or not.
func UserFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's configuration folder: %w", err)
	}
	return filepath.Join(dir, "mcpfirewall", FileName), nil
}
