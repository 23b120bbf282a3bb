package rules

// Match reports whether name matches the pattern, where * stands for any run of
// characters. Case counts.
func Match(pattern, name string) bool {
	return newGlob(pattern, false).match(subject{exact: name})
}
