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

// memory remembers, from one run to the next, what each server said of itself.
// The first answer to a client is due before a slow server has said so again; with it,
// that answer declares what the server has, and not what it might have.
type memory struct {
	path string

	mu      sync.Mutex
	servers map[string]remembered // by digest of the server's configuration
}

// maxRemembered bounds the file.
const maxRemembered = 200

// openMemory reads the memory in the folder. What cannot be read is as if never seen.
func openMemory(folder string) *memory {
	m := &memory{servers: map[string]remembered{}}
	if folder == "" {
		return m
	}
	m.path = filepath.Join(folder, "servers.json")
	if text, err := os.ReadFile(m.path); err == nil {
		if json.Unmarshal(text, &m.servers) != nil || len(m.servers) > maxRemembered {
			m.servers = map[string]remembered{}
		}
	}
	return m
}

func memoryKey(s config.Server) string {
	text := fmt.Sprintf("%s %q %q %q %s", s.Name, s.Command, s.Args, s.URL, s.Transport)
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:16])
}

// remembered is what a server said of itself.
type remembered struct {
	Modern       bool           `json:"modern,omitzero"`
	Capabilities jsontext.Value `json:"capabilities"`
	Instructions string         `json:"instructions,omitzero"`
}

// recall returns what the server said last; no capabilities if it was never seen.
func (m *memory) recall(s config.Server) (caps []byte, instructions string, modern bool) {
	if s.PerPrincipal() {
		return nil, "", false // what it said was for one user
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.servers[memoryKey(s)]
	return r.Capabilities, r.Instructions, r.Modern
}

// note remembers what the server on the link says of itself.
func (m *memory) note(l *link) error {
	if l.conn.cfg.PerPrincipal() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := memoryKey(l.conn.cfg)
	now := remembered{l.modern, append(jsontext.Value(nil), l.offer.caps...), l.offer.instructions}
	old := m.servers[key]
	if m.path == "" || len(now.Capabilities) == 0 || old.Modern == now.Modern && old.Instructions == now.Instructions && string(old.Capabilities) == string(now.Capabilities) {
		return nil
	}
	if len(m.servers) >= maxRemembered {
		clear(m.servers)
	}
	m.servers[key] = now
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
