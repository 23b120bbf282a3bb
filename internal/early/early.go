// Package early does what has to be done before most packages make their variables, which is
// half of what the program's start costs. Go initialises packages in the order of their import
// paths, as far as their imports let it, and this one imports next to nothing.
package early

import (
	"os"
	"runtime/debug"
	"time"
)

// Begun is when the process began, but for what the system and Go's runtime do first.
var Begun = time.Now()

// startPercent lets the heap be 16 MiB before garbage is collected. Nearly everything that is
// made at the start stays, so that it would be looked through for nothing. Package pace says what
// holds after it.
const startPercent = 400

func init() {
	if os.Getenv("GOGC") == "" { // else the user has the say
		debug.SetGCPercent(startPercent)
	}
}
