package main

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// results are the figures of one run. The arrays have one element per subject: direct, relay, firewall.
type results struct {
	System     string          `json:"system"`
	CPUs       int             `json:"cpus"`
	Go         string          `json:"go"`
	Setup      string          `json:"setup"`
	Latency    []latencyRow    `json:"latency"`
	Throughput []throughputRow `json:"throughput"`
	Memory     []memoryRow     `json:"memory"`
	Start      []startRow      `json:"start"`
}

type latencyRow struct {
	Transport string                     `json:"transport"`
	Era       era                        `json:"era"`
	Size      int                        `json:"bytes"`
	SizeName  string                     `json:"-"`
	Calls     int                        `json:"calls"` // per subject
	P50       [len(subjectNames)]float64 `json:"p50_us"`
	P95       [len(subjectNames)]float64 `json:"p95_us"`
	Target    float64                    `json:"target"` // most that the firewall's p50 may be of the relay's
}

type throughputRow struct {
	Transport string                     `json:"transport"`
	Era       era                        `json:"era"`
	Callers   int                        `json:"callers"`
	PerSecond [len(subjectNames)]float64 `json:"calls_per_second"`
	Target    float64                    `json:"target"` // least that the firewall's may be of the relay's
}

type memoryRow struct {
	Transport  string  `json:"transport"`
	Era        era     `json:"era"`
	Calls      int     `json:"calls"`
	Resident   float64 `json:"resident_mib"`
	Others     float64 `json:"guards_mib"`            // the firewall's own helper processes
	AfterLarge float64 `json:"after_large_calls_mib"` // after some calls with 1 MiB
	Target     float64 `json:"target_mib"`
}

type startRow struct {
	Era    era     `json:"era"`
	Server string  `json:"server"`
	Starts int     `json:"starts"`
	P50    float64 `json:"p50_ms"`
	Max    float64 `json:"max_ms"`
	Target float64 `json:"target_ms"`
}

func newResults() *results {
	return &results{
		System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Setup: fmt.Sprintf("default configuration, audit on, %d rules of which %d have conditions on the called tool, %d resolved secrets to redact", ruleCount, rulesOnEcho, secretCount),
	}
}

// latencyTarget returns how many times the relay's p50 the firewall's may be.
func latencyTarget(transport string, size int) float64 {
	if transport == "http" && size < 1<<20 {
		return 1.4
	}
	return 1.5
}

func (r latencyRow) ratio() float64    { return r.P50[2] / r.P50[1] }
func (r throughputRow) ratio() float64 { return r.PerSecond[2] / r.PerSecond[1] }

func (r latencyRow) met() bool    { return r.ratio() <= r.Target }
func (r throughputRow) met() bool { return r.ratio() >= r.Target }
func (r memoryRow) met() bool     { return r.Resident < r.Target }
func (r startRow) met() bool      { return r.P50 <= r.Target }

// met reports whether all targets were met.
func (r *results) met() bool {
	met := true
	for _, row := range r.Latency {
		met = met && row.met()
	}
	for _, row := range r.Throughput {
		met = met && row.met()
	}
	for _, row := range r.Memory {
		met = met && row.met()
	}
	for _, row := range r.Start {
		met = met && row.met()
	}
	return met
}

func mark(met bool) string {
	if met {
		return "pass"
	}
	return "FAIL"
}

func (r *results) writeJSON(w io.Writer) error {
	if err := json.MarshalWrite(w, r, jsontext.WithIndent("  ")); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (r *results) writeText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s, %d CPUs, %s; %s\n", r.System, r.CPUs, r.Go, r.Setup)
	if len(r.Latency) > 0 {
		fmt.Fprintf(w, "\nOne caller, time per call in µs, p50/p95\n")
		fmt.Fprintf(w, "transport\tera\tpayload\tcalls\tdirect\trelay\tfirewall\tof relay's p50\ttarget\t\n")
		for _, row := range r.Latency {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d", row.Transport, row.Era, row.SizeName, row.Calls)
			for i := range subjectNames {
				fmt.Fprintf(w, "\t%.0f/%.0f", row.P50[i], row.P95[i])
			}
			fmt.Fprintf(w, "\t%.2f\t≤ %.1f\t%s\n", row.ratio(), row.Target, mark(row.met()))
		}
	}
	if len(r.Throughput) > 0 {
		fmt.Fprintf(w, "\n%d callers, calls per second, 64 B\n", callers)
		fmt.Fprintf(w, "transport\tera\tdirect\trelay\tfirewall\tof relay's\ttarget\t\n")
		for _, row := range r.Throughput {
			fmt.Fprintf(w, "%s\t%s", row.Transport, row.Era)
			for i := range subjectNames {
				fmt.Fprintf(w, "\t%.0f", row.PerSecond[i])
			}
			fmt.Fprintf(w, "\t%.0f%%\t≥ %.0f%%\t%s\n", 100*row.ratio(), 100*row.Target, mark(row.met()))
		}
	}
	if len(r.Memory) > 0 {
		fmt.Fprintf(w, "\nResident memory of the firewall in MiB\n")
		fmt.Fprintf(w, "transport\tera\tcalls\tfirewall\ttarget\t\tits helper processes\tafter calls with 1 MiB\n")
		for _, row := range r.Memory {
			if row.Resident == 0 {
				fmt.Fprintf(w, "%s\t%s\t%d\tnot known on this system\n", row.Transport, row.Era, row.Calls)
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t< %.0f\t%s\t%.1f\t%.1f\n", row.Transport, row.Era, row.Calls, row.Resident, row.Target, mark(row.met()), row.Others, row.AfterLarge)
		}
	}
	if len(r.Start) > 0 {
		fmt.Fprintf(w, "\nFrom the start of the firewall to its first answer in ms\n")
		fmt.Fprintf(w, "era\tbehind it\tstarts\tp50\tmax\ttarget of p50\t\n")
		for _, row := range r.Start {
			fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t%.1f\t≤ %.0f\t%s\n", row.Era, row.Server, row.Starts, row.P50, row.Max, row.Target, mark(row.met()))
		}
	}
	return w.Flush()
}
