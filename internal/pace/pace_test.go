package pace

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// percent returns the one in force.
func percent() int {
	p := debug.SetGCPercent(-1)
	debug.SetGCPercent(p)
	return p
}

func TestPace(t *testing.T) {
	t.Setenv("GOGC", "")
	before := percent()
	defer debug.SetGCPercent(before)
	Message(Large)
	if got := percent(); got != before {
		t.Errorf("before the start, a message made it %d%%", got)
	}
	Start()
	for _, step := range []struct {
		size, want int
	}{{0, smallPercent}, {Large - 1, smallPercent}, {Large, largePercent}, {Large, largePercent}} {
		if Message(step.size); percent() != step.want {
			t.Errorf("a message of %d bytes made it %d%%, want %d%%", step.size, percent(), step.want)
		}
	}
	// The collection behind a large message leaves it, the next one without does not.
	for end := time.Now().Add(10 * time.Second); percent() != smallPercent; runtime.Gosched() {
		runtime.GC()
		if time.Now().After(end) {
			t.Fatal("the heap is not made small again")
		}
	}
}

// TestAfterEach is that no collection is missed, which would be the last one that is seen.
func TestAfterEach(t *testing.T) {
	seen := make(chan bool, 16)
	afterEach(func() { seen <- true })
	for range 3 {
		runtime.GC()
		select {
		case <-seen:
		case <-time.After(10 * time.Second):
			t.Fatal("a collection was not seen")
		}
	}
}
