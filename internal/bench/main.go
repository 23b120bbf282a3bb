// Command bench measures what the firewall costs. It drives three subjects side by side in one alternating run: the
// server itself ("direct"), a relay that looks at nothing ("relay", the least that anything in between can cost), and
// the firewall on its default configuration with the audit on, 100 rules, and resolved secrets to redact:
//
//	go run ./internal/bench            the whole run, about three minutes
//	go run ./internal/bench -quick     whether everything answers rightly; its figures mean little
//	go run ./internal/bench -json      the figures for programs
//
// The server, the relay and the load client are its own, small, and use no SDK, so that what differs between two columns
// is the subject. Every answer is compared with what was sent. The exit status is 1 if an answer was wrong or missing
// and, with -strict, also if a target was missed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	// The program starts itself as the server and as the relay.
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		if err := roles[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

var roles = map[string]func(args []string) error{
	"serve-stdio": serveStdio,
	"serve-http":  serveHTTP,
	"relay-stdio": relayStdio,
	"relay-http":  relayHTTP,
}

// options are the flags.
type options struct {
	quick      bool
	json       bool
	strict     bool
	binary     string   // of the firewall; "" builds it
	only       string   // substring of the names of the measurements to make
	transports []string // "stdio", "http"
	eras       []era
}

func run(args []string, out, progress io.Writer) int {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.BoolVar(&o.quick, "quick", false, "few calls: checks that all works")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.BoolVar(&o.strict, "strict", false, "exit status 1 if a target is missed")
	flags.StringVar(&o.binary, "firewall", "", "`path` of the firewall; it is built if empty")
	flags.StringVar(&o.only, "only", "", "only the measurements whose name contains this `text`")
	transport := flags.String("transport", "stdio,http", "`list` of transports")
	eras := flags.String("era", "legacy,modern", "`list` of protocol eras")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	o.transports = strings.Split(*transport, ",")
	for e := range strings.SplitSeq(*eras, ",") {
		o.eras = append(o.eras, era(e))
	}
	r, err := measure(o, progress)
	if err != nil {
		fmt.Fprintf(progress, "bench: %v\n", err)
		return 1
	}
	if o.json {
		err = r.writeJSON(out)
	} else {
		err = r.writeText(out)
	}
	if err != nil {
		fmt.Fprintf(progress, "bench: writing the result: %v\n", err)
		return 1
	}
	if o.strict && !r.met() {
		return 1
	}
	return 0
}

// measure makes all measurements that the options ask for.
func measure(o options, progress io.Writer) (*results, error) {
	dir, err := os.MkdirTemp("", "mcpfirewall-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, self: self, progress: progress}
	if b.binary == "" {
		b.binary = filepath.Join(dir, "mcpfirewall")
		if runtime.GOOS == "windows" {
			b.binary += ".exe"
		}
		// Outside of the module `go build` would not find the package by its path.
		build := exec.Command("go", "build", "-trimpath", "-o", b.binary, "github.com/mcpfirewall/mcpfirewall/cmd/mcpfirewall")
		if msg, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the firewall: %w\n%s", err, msg)
		}
	}
	r := newResults()
	for _, step := range []func(*results) error{b.latency, b.throughput, b.memory, b.firstAnswer} {
		if err := step(r); err != nil {
			return nil, err
		}
	}
	if len(r.Latency)+len(r.Throughput)+len(r.Memory)+len(r.Start) == 0 {
		return nil, errors.New("nothing matches the flags")
	}
	return r, nil
}

// bench is one run.
type bench struct {
	options
	dir, self string
	progress  io.Writer
	configs   int
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

func (b *bench) wanted(name string) bool { return strings.Contains(name, b.only) }

// pick returns what the flag -quick says.
func pick[T any](quick bool, short, whole T) T {
	if quick {
		return short
	}
	return whole
}
