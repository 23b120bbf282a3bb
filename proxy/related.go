package proxy

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// A message may say in its _meta which task it belongs to (2025-11-25, basic/utilities/tasks,
// "Related Task Metadata"). Both sides know a task by ids of the firewall's, so that is
// rewritten wherever it stands, and left out where the other side knows no such task.

// relate puts the ids that the client knows in a server's message. x returns the client's
// request that the message belongs to, or nil.
func (l *link) relate(m *jsonrpc.Message, x func() *Exchange) (*jsonrpc.Message, error) {
	if !mayRelate(m.Raw) {
		return m, nil
	}
	var s *Session
	if x := x(); x != nil {
		s = x.s
	} else if !l.conn.fleet.shared {
		for _, s = range l.audience() { // all of one client's, or of one principal's
			break
		}
	}
	raw := relate(m.Raw, func(id string) (string, bool) {
		if s == nil {
			return "", false
		}
		if known, ok := s.taskID(l.conn.name, id); ok {
			return known, true
		}
		return s.conns().askedID(l.conn.name, id)
	})
	if bytes.Equal(raw, m.Raw) {
		return m, nil
	}
	related, err := jsonrpc.Parse(raw, l.limits())
	if err != nil {
		return nil, fmt.Errorf("naming the task that a message belongs to: %w", err)
	}
	return related, nil
}

// relateBack puts the server's ids in what the client sends to it.
func (s *Session) relateBack(c *conn, raw []byte) []byte {
	if !mayRelate(raw) {
		return raw
	}
	return relate(raw, func(id string) (string, bool) {
		if ref, err := s.openTask(id); err == nil && ref.Server == c.name {
			return ref.ID, true
		}
		return s.conns().toldID(c.name, id)
	})
}

// relate returns raw with the ids of related tasks as id gives them, and without those that
// it does not know.
func relate(raw []byte, id func(string) (string, bool)) []byte {
	return replaceMembers(raw, isRelatedTask, func(value []byte) []byte {
		theirs, _ := jsonrpc.GetString(value, "taskId")
		ours, known := id(theirs)
		if !known {
			return nil
		}
		return append(jsonrpc.AppendQuote([]byte(`{"taskId":`), ours), '}')
	})
}

// mayRelate is a quick look at whether JSON can name a related task.
func mayRelate(raw []byte) bool { return mayHold(raw, "io.modelcontextprotocol", "related-ta") }

func isRelatedTask(quoted []byte) bool {
	return len(quoted) >= len(metaRelatedTask)+2 && strings.EqualFold(jsonrpc.String(quoted), metaRelatedTask)
}
