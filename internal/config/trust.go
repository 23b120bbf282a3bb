package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// trustFile is what trust.json holds: the digest of each file that the user
// has trusted, by its absolute path with links resolved.
type trustFile struct {
	Version int               `json:"version"`
	Files   map[string]string `json:"files"`
}

// TrustFile returns the path of the record of trusted files under a state
// folder, the default one if it is "".
func TrustFile(statePath string) (string, error) {
	if statePath == "" {
		dir, err := state.DefaultDir()
		if err != nil {
			return "", err
		}
		statePath = dir
	}
	return filepath.Join(statePath, "trust.json"), nil
}

// Trust records that the file may be used as it is now although it lies in
// the current folder. [Find] looks in the default state folder, which statePath
// "" stands for. A file that others can write cannot be trusted.
func Trust(path, statePath string) error {
	resolved, err := realPath(path)
	if err != nil {
		return fmt.Errorf("trusting %s: %w", path, err)
	}
	data, err := readFile(resolved)
	if err != nil {
		return fmt.Errorf("trusting %s: %w", path, err)
	}
	record, err := TrustFile(statePath)
	if err != nil {
		return fmt.Errorf("trusting %s: %w", path, err)
	}
	trusted, err := readTrust(record)
	if err != nil {
		return fmt.Errorf("trusting %s: %w", path, err)
	}
	trusted.Files[resolved] = digestOf(data)
	if err := writeTrust(record, trusted); err != nil {
		return fmt.Errorf("trusting %s: %w", path, err)
	}
	return nil
}

// Trusted reports whether the file is trusted as it is now.
func Trusted(path, statePath string) (bool, error) {
	digest, known, err := trustedDigest(path, statePath)
	if err != nil || !known {
		return false, err
	}
	data, err := readFile(path)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", path, err)
	}
	return digestOf(data) == digest, nil
}

// trustedDigest returns the digest with which a file was last trusted.
func trustedDigest(path, statePath string) (digest string, known bool, err error) {
	resolved, err := realPath(path)
	if err != nil {
		return "", false, fmt.Errorf("finding %s: %w", path, err)
	}
	record, err := TrustFile(statePath)
	if err != nil {
		return "", false, err
	}
	trusted, err := readTrust(record)
	if err != nil {
		return "", false, err
	}
	digest, known = trusted.Files[resolved]
	return digest, known, nil
}

func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// readTrust reads the record. One that others can write, or that is not
// understood, says nothing and is an error.
func readTrust(record string) (*trustFile, error) {
	trusted := &trustFile{Version: 1, Files: make(map[string]string)}
	data, err := readFile(record)
	if errors.Is(err, os.ErrNotExist) {
		return trusted, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading which files are trusted: %w", err)
	}
	if err := json.Unmarshal(data, trusted, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("reading which files are trusted: %s is damaged, remove it and trust your files again: %w", record, err)
	}
	if trusted.Version != 1 || trusted.Files == nil {
		return nil, fmt.Errorf("reading which files are trusted: %s was written by another version of mcpfirewall; remove it and trust your files again", record)
	}
	return trusted, nil
}

// writeTrust replaces the record as a whole, so that no reader sees half of it.
func writeTrust(record string, trusted *trustFile) error {
	data, err := json.Marshal(trusted, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	dir := filepath.Dir(record)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, "trust-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails after the rename, as it should
	_, err = temp.Write(append(data, '\n'))
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), record)
	}
	return err
}
