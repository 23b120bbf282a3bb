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
	"runtime/metrics"
	"sync/atomic"
)

// How much may be allocated, in percent of what lives, before garbage is collected.
const (
	smallPercent = 60
	largePercent = 400
)

// maxGarbage bounds that in bytes, where large messages are so large, or so many, that they are
// most of what lives.
const maxGarbage = 128 << 20

// Large is from how many bytes on a message is a large one.
const Large = 8 << 10

var (
	on      atomic.Bool
	percent atomic.Int64 // in force
	came    atomic.Bool  // a large message, since the last collection
)

// Start keeps the heap small from now on, unless the user has said in GOGC how large it may be.
func Start() {
	if os.Getenv("GOGC") != "" || on.Swap(true) {
		return
	}
	set(smallPercent)
	afterEach(func() { collected(live()) })
}

// Message notes that a message of n bytes was read.
func Message(n int) {
	if n < Large || !on.Load() || came.Load() || came.Swap(true) {
		return
	}
	if percent.Load() == smallPercent {
		set(largePercent)
	}
}

// collected chooses the percentage after a collection that left so many bytes: the small one when
// no large message came since the one before.
func collected(live uint64) {
	if !came.Swap(false) {
		set(smallPercent)
		return
	}
	set(min(largePercent, max(smallPercent, int64(100*maxGarbage/max(live, 1)))))
}

func set(p int64) {
	if percent.Swap(p) != p {
		debug.SetGCPercent(int(p))
	}
}

// live returns how many bytes the last collection left.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// afterEach does something after each collection, which takes the cycle that nothing else holds.
func afterEach(do func()) {
	type cycle struct{ _ *byte } // a pointer keeps it from being allocated together with others
	runtime.AddCleanup(new(cycle), func(do func()) {
		do()
		afterEach(do)
	}, do)
}
