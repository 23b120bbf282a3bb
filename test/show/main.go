// Command show reads `go test -json` and prints what people want to see of it:
//
//   - of a test that failed, everything it said; of a package that failed otherwise, everything that is left;
//   - of a test that was skipped, the reason, at once and again at the end, so that no skip goes unnoticed;
//   - lines that begin with "# ", by which tests report figures, as they come;
//   - of everything else one line per package.
//
// It ends with status 1 if anything failed, or if there was nothing to read.
//
//	go test -json ./... | go run ./test/show
package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// event is a line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

func main() {
	ok, err := show(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "show:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// show copies what is worth showing from r to w, and reports whether something passed and nothing failed.
func show(r io.Reader, w io.Writer) (ok bool, err error) {
	type key struct{ pkg, test string }
	said := map[key][]string{} // the output of what has not ended yet
	var skipped []string
	passed, failed := 0, 0

	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil && err != io.EOF {
			return false, fmt.Errorf("reading the test output: %w", err)
		}
		var e event
		if json.Unmarshal(line, &e) != nil { // not of a test: go itself speaks
			w.Write(line)
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			io.WriteString(w, e.Output)
		case "output":
			if strings.HasPrefix(e.Output, "# ") {
				io.WriteString(w, e.Output)
				continue
			}
			said[k] = append(said[k], e.Output)
		case "pass":
			if e.Test == "" {
				passed++
				io.WriteString(w, summary(said[k]))
			}
			delete(said, k)
		case "skip":
			if e.Test != "" {
				reason := fmt.Sprintf("SKIP %s %s: %s", e.Package, e.Test, detail(said[k]))
				skipped = append(skipped, reason)
				fmt.Fprintln(w, reason)
			}
			delete(said, k)
		case "fail":
			failed++
			if e.Test != "" {
				io.WriteString(w, strings.Join(said[k], ""))
				delete(said, k)
				continue
			}
			// A package fails after its tests; what a panic or a time limit left unfinished has not been shown yet.
			for _, rest := range slices.SortedFunc(maps.Keys(said), func(a, b key) int { return strings.Compare(a.test, b.test) }) {
				if rest.pkg == e.Package {
					io.WriteString(w, strings.Join(said[rest], ""))
					delete(said, rest)
				}
			}
		}
	}
	if len(skipped) > 0 {
		fmt.Fprintf(w, "\nSkipped, %d:\n%s\n", len(skipped), strings.Join(skipped, "\n"))
	}
	return failed == 0 && passed > 0, nil
}

// summary is the result line of a package that passed.
func summary(output []string) string {
	for _, line := range output {
		if strings.HasPrefix(line, "ok ") {
			return line
		}
	}
	return ""
}

// detail is what a skipped test said, less the lines that frame it.
func detail(output []string) string {
	var kept []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, " ")
}
