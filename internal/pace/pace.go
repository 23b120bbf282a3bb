// Package pace chooses how often garbage is collected. What lives in the firewall is a few MiB, so
// that with small messages a small heap costs little. Large messages fill it at once: if each of
// them brought a collection, that would be most of the work.
//
//	pace.Start()             // when the program's start is over
//	pace.Message(len(raw))   // for each message that is read
package pace

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// How much may be allocated, in percent of what lives, before garbage is collected.
const (
	smallPercent = 60
	largePercent = 400
)

// Large is from how many bytes on a message is a large one.
const Large = 8 << 10

var (
	on    atomic.Bool
	roomy atomic.Bool // the percentage is that for large messages
	came  atomic.Bool // a large message, since the last collection
)

// Start keeps the heap small from now on, unless the user has said in GOGC how large it may be.
func Start() {
	if os.Getenv("GOGC") != "" || on.Swap(true) {
		return
	}
	debug.SetGCPercent(smallPercent)
	afterEach(collected)
}

// Message notes that a message of n bytes was read.
func Message(n int) {
	if n < Large || !on.Load() {
		return
	}
	if !came.Load() { // which many goroutines read, and few write
		came.Store(true)
	}
	if !roomy.Load() && !roomy.Swap(true) {
		debug.SetGCPercent(largePercent)
	}
}

// collected makes the heap small again when no large message came between two collections.
func collected() {
	if !came.Swap(false) && roomy.Swap(false) {
		debug.SetGCPercent(smallPercent)
	}
}

// afterEach does something after each collection, which takes the cycle that nothing else holds.
func afterEach(do func()) {
	type cycle struct{ _ *byte } // a pointer keeps it from being allocated together with others
	runtime.AddCleanup(new(cycle), func(do func()) {
		do()
		afterEach(do)
	}, do)
}
