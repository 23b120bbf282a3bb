package proxy

import (
	"fmt"
	"testing"
)

// One principal cannot name sessions without end, and takes none from another.
func TestNamedSessionsAreBounded(t *testing.T) {
	r := testRelay(t, nil)
	open := func(principal string, i int) bool {
		s := r.Stateless(Peer{Transport: "http", Principal: principal, Name: fmt.Sprint(i)})
		if s != nil {
			s.Release()
		}
		return s != nil
	}
	for i := range maxNamed {
		if !open("alice", i) {
			t.Fatalf("session %d was refused", i)
		}
	}
	if open("alice", maxNamed) {
		t.Errorf("session %d was opened", maxNamed)
	}
	if !open("alice", 0) || !open("bob", 0) {
		t.Error("a session that was open, or another principal's, was refused")
	}
}
