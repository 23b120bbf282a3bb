//go:build race

package audit

const raceEnabled = true // which makes sync.Pool forget on purpose
