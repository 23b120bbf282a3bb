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

// Percentages of the garbage collector: how much may be allocated, of what lives, before it
// runs. While nearly everything that is made stays, as at the start, it would run for nothing:
// at Go's default already at 4 MiB, at this one at 16 MiB.
const (
	startPercent  = 400
	steadyPercent = 200
)

// unset is whether the user leaves the percentage to the program.
var unset = os.Getenv("GOGC") == ""

func init() {
	if unset {
		debug.SetGCPercent(startPercent)
	}
}

// Over ends what holds for the start only.
func Over() {
	if unset {
		debug.SetGCPercent(steadyPercent)
	}
}
