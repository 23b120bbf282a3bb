// Package onuse makes what the program's start does not need when it is first used. Variables of
// packages are made before main runs, and thus before a client gets its first answer, whichever
// command runs.
package onuse

import (
	"regexp"
	"sync"
)

// Regexp returns a function that returns the compiled expression, the same one each time.
// Like [regexp.MustCompile] it panics where the text is none.
func Regexp(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
