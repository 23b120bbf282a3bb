package pace

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// inForce returns the percentage that the collector heeds.
func inForce() int {
	p := debug.SetGCPercent(-1)
	debug.SetGCPercent(p)
	return p
}

func TestPace(t *testing.T) {
	t.Setenv("GOGC", "")
	before := inForce()
	defer debug.SetGCPercent(before)
	Message(Large)
	if got := inForce(); got != before {
		t.Errorf("before the start, a message made it %d%%", got)
	}
	Start()
	for _, step := range []struct {
		size, want int
	}{{0, smallPercent}, {Large - 1, smallPercent}, {Large, largePercent}, {Large, largePercent}} {
		if Message(step.size); inForce() != step.want {
			t.Errorf("a message of %d bytes made it %d%%, want %d%%", step.size, inForce(), step.want)
		}
	}
	// The collection behind a large message leaves it, the next one without does not.
	for end := time.Now().Add(10 * time.Second); inForce() != smallPercent; runtime.Gosched() {
		runtime.GC()
		if time.Now().After(end) {
			t.Fatal("the heap is not made small again")
		}
	}
}

func TestCollected(t *testing.T) {
	before := inForce()
	defer debug.SetGCPercent(before)
	for _, step := range []struct {
		came bool
		live uint64
		want int
	}{
		{true, 10 << 20, largePercent}, {true, 64 << 20, 200}, {true, 1 << 30, smallPercent}, {true, 0, largePercent},
		{false, 10 << 20, smallPercent},
	} {
		came.Store(step.came)
		if collected(step.live); inForce() != step.want {
			t.Errorf("large messages %v, %d bytes live: %d%%, want %d%%", step.came, step.live, inForce(), step.want)
		}
	}
	if live() == 0 {
		t.Error("the collector does not tell what lives")
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
