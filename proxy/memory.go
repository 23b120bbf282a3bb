package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/config"
)

// memory remembers, from one run to the next, which capabilities each server declared.
// The first answer to a client is due before a slow server has said so again; with it,
// that answer declares what the server has, and not what it might have.
type memory struct {
	path string

	mu      sync.Mutex
	servers map[string]jsontext.Value // by digest of the server's configuration
}

// maxRemembered bounds the file.
const maxRemembered = 200

// openMemory reads the memory in the folder. What cannot be read is as if never seen.
func openMemory(folder string) *memory {
	m := &memory{servers: map[string]jsontext.Value{}}
	if folder == "" {
		return m
	}
	m.path = filepath.Join(folder, "servers.json")
	if text, err := os.ReadFile(m.path); err == nil {
		if json.Unmarshal(text, &m.servers) != nil || len(m.servers) > maxRemembered {
			m.servers = map[string]jsontext.Value{}
		}
	}
	return m
}

func memoryKey(s config.Server) string {
	text := fmt.Sprintf("%s %q %q %q %s", s.Name, s.Command, s.Args, s.URL, s.Transport)
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:16])
}

// recall returns the capabilities that the server declared last, or nil.
func (m *memory) recall(s config.Server) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.servers[memoryKey(s)]
}

// note remembers the capabilities that the server declares.
func (m *memory) note(s config.Server, caps []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := memoryKey(s)
	if m.path == "" || len(caps) == 0 || string(m.servers[key]) == string(caps) {
		return nil
	}
	if len(m.servers) >= maxRemembered {
		clear(m.servers)
	}
	m.servers[key] = append(jsontext.Value(nil), caps...)
	text, err := json.Marshal(m.servers)
	if err != nil {
		return fmt.Errorf("remembering the servers' capabilities: %w", err)
	}
	// Written beside and renamed, since several firewalls may share the folder.
	temp, err := os.CreateTemp(filepath.Dir(m.path), "servers-*.tmp")
	if err != nil {
		return fmt.Errorf("remembering the servers' capabilities: %w", err)
	}
	_, err = temp.Write(text)
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), m.path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("remembering the servers' capabilities: %w", err)
	}
	return nil
}
