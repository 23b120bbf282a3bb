package sqlite

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

func BenchmarkReserve(b *testing.B) {
	for _, durable := range []bool{false, true} {
		for _, used := range []int{0, 20_000} {
			b.Run(fmt.Sprintf("durable=%v/used=%d", durable, used), func(b *testing.B) {
				s := New(Options{Dir: filepath.Join(b.TempDir(), "s")})
				defer s.Close()
				c := daily(one, state.MaxAmount)
				now := start
				for i := range used {
					now = now.Add(time.Second)
					granted(b, s, now, fmt.Sprint("u", i), c)
				}
				c.Durable = durable
				took := make([]time.Duration, 0, b.N)
				for i := 0; b.Loop(); i++ {
					now = now.Add(time.Second)
					began := time.Now()
					granted(b, s, now, fmt.Sprint(i), c)
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
			})
		}
	}
}

func BenchmarkPeek(b *testing.B) {
	s := newStore(b, Options{})
	c := daily(one, 100*one)
	granted(b, s, start, "1", c)
	for b.Loop() {
		left(b, s, start, c)
	}
}

// BenchmarkOpen is what the first use costs.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "s")
	granted(b, newStore(b, Options{Dir: dir}), start, "1", daily(one, 100*one))
	for b.Loop() {
		s := New(Options{Dir: dir})
		left(b, s, start, daily(one, 100*one))
		s.Close()
	}
}
