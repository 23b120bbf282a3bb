// Package preset holds ready-made rules that a configuration includes by name:
//
//	use: [ssrf, paths, trifecta]
//
// Each preset is a file in the configuration's own syntax, with ordinary rules,
// limits and labels; the comment at its head says what it is for, what it stops
// and what it does not. Package config reads the files and adds them to the
// policy of the file that uses them. They can only tighten it.
package preset

import (
	"embed"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Names returns the names of all presets in alphabetical order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic("preset: " + err.Error()) // the folder is part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Text returns the file of a preset, and whether there is one of that name.
func Text(name string) (text string, ok bool) {
	if !slices.Contains(Names(), name) {
		return "", false
	}
	data, err := files.ReadFile(name + ".yaml")
	return string(data), err == nil
}
