package audit

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func benchRecord(l *Log) *Record {
	return &Record{
		ID: l.NewID(), Event: Outcome, Session: "k3v9x2m4aqk3v9x2m4aq", Principal: "alice", Client: "claude-code",
		Server: "github", Method: "tools/call", Capability: "get_issue",
		Arguments: []byte(`{"owner":"example","repo":"project","issue_number":1234567}`),
		Action:    "allow", Rule: "tools.allow github.get_*", Duration: 1234 * time.Microsecond, BytesIn: 180, BytesOut: 4096,
	}
}

// One caller: the cost that a record adds to a call, its write included.
func BenchmarkWrite(b *testing.B) {
	l, err := Open(Options{Path: filepath.Join(b.TempDir(), "audit.jsonl")})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Write(benchRecord(l)); err != nil {
			b.Fatal(err)
		}
	}
}

// The same without the file.
func BenchmarkEncode(b *testing.B) {
	l := Discard()
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Write(benchRecord(l)); err != nil {
			b.Fatal(err)
		}
	}
}

// Sixteen callers at once.
func BenchmarkWriteParallel(b *testing.B) {
	l, err := Open(Options{Path: filepath.Join(b.TempDir(), "audit.jsonl")})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := l.Write(benchRecord(l)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Arguments that are cut.
func BenchmarkCutArguments(b *testing.B) {
	l := Discard()
	r := benchRecord(l)
	r.Arguments = []byte(`{"text":"` + strings.Repeat("some text, ", 2000) + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Write(r); err != nil {
			b.Fatal(err)
		}
	}
}
