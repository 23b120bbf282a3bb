package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sizes are the payloads whose latency is measured, with the calls of one turn and the number of turns.
var sizes = []struct {
	name          string
	bytes         int
	calls, rounds int
}{
	{"64 B", 64, 50, 60},
	{"16 KiB", 16 << 10, 40, 50},
	{"1 MiB", 1 << 20, 5, 40},
}

// latency measures one caller who waits for each answer.
func (b *bench) latency(r *results) error {
	for _, transport := range b.transports {
		for _, e := range b.eras {
			name := fmt.Sprintf("latency %s %s", transport, e)
			if !b.wanted(name) {
				continue
			}
			b.say("%s", name)
			list, err := b.subjects(transport, e)
			if err != nil {
				return err
			}
			for _, size := range sizes {
				row := latencyRow{Transport: transport, Era: e, Size: size.bytes, SizeName: size.name, Target: latencyTarget(transport, size.bytes)}
				took := make([][]time.Duration, len(list))
				for warm := range 2 {
					turns, calls := pick(b.quick, 3, size.rounds), size.calls
					if warm == 0 {
						turns, calls = 2, min(calls, 20)
					}
					took = make([][]time.Duration, len(list))
					if _, err := rounds(list, turns, func(i int, s *subject) error {
						for range calls {
							d, err := s.echo(size.bytes, true)
							if err != nil {
								return err
							}
							took[i] = append(took[i], d)
						}
						return nil
					}); err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
				}
				for i := range list {
					row.P50[i], row.P95[i] = micros(quantile(took[i], 0.5)), micros(quantile(took[i], 0.95))
				}
				row.Calls = len(took[0])
				r.Latency = append(r.Latency, row)
			}
			for i, s := range list {
				if err := s.end(); err != nil {
					return fmt.Errorf("%s: ending %s: %w", name, subjectNames[i], err)
				}
			}
		}
	}
	return nil
}

const callers = 16

// throughput measures how many calls per second many callers get through.
func (b *bench) throughput(r *results) error {
	for _, transport := range b.transports {
		for _, e := range b.eras {
			name := fmt.Sprintf("throughput %s %s", transport, e)
			if !b.wanted(name) {
				continue
			}
			b.say("%s", name)
			list, err := b.subjects(transport, e)
			if err != nil {
				return err
			}
			const callsPerTurn = 1600
			turns := pick(b.quick, 2, 12)
			turn := func(_ int, s *subject) error { return s.together(callsPerTurn) }
			if _, err := rounds(list, 1, turn); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			total, err := rounds(list, turns, turn)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			row := throughputRow{Transport: transport, Era: e, Callers: callers, Target: 0.6}
			for i, s := range list {
				row.PerSecond[i] = float64(turns*callsPerTurn) / total[i].Seconds()
				if err := s.end(); err != nil {
					return fmt.Errorf("%s: ending %s: %w", name, subjectNames[i], err)
				}
			}
			r.Throughput = append(r.Throughput, row)
		}
	}
	return nil
}

// together makes n calls with 64 B from all callers.
func (c *client) together(n int) error {
	errs := make(chan error, callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range n / callers {
				if _, err := c.echo(64, false); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// memory measures the resident memory of the firewall after many calls.
func (b *bench) memory(r *results) error {
	for _, transport := range b.transports {
		for _, e := range b.eras {
			name := fmt.Sprintf("memory %s %s", transport, e)
			if !b.wanted(name) {
				continue
			}
			b.say("%s", name)
			s, err := b.subject("firewall", transport, e)
			if err != nil {
				return err
			}
			if err := s.start(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			calls := pick(b.quick, 1600, 10_000)
			if err := s.together(calls); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			row := memoryRow{Transport: transport, Era: e, Calls: calls, Target: 30}
			row.Resident, row.Others = resident(s.pid, b.binary)
			for range pick(b.quick, 2, 20) {
				if _, err := s.echo(1<<20, false); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			row.AfterLarge, _ = resident(s.pid, b.binary)
			r.Memory = append(r.Memory, row)
			if err := s.end(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// resident returns the resident memory in MiB of a process and that of the processes below it which run the same
// program, as far as the system says: only Linux does, in the way of proc(5). Both are 0 elsewhere.
func resident(pid int, binary string) (own, others float64) {
	own = residentOf(pid)
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil || parentOf(child) != pid {
			continue
		}
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", child)); exe == binary {
			more, below := resident(child, binary)
			others += more + below
		}
	}
	return own, others
}

func residentOf(pid int) float64 { return procStatus(pid, "VmRSS:") / 1024 }
func parentOf(pid int) int       { return int(procStatus(pid, "PPid:")) }

func procStatus(pid int, key string) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n
		}
	}
	return 0
}

// firstAnswer measures the time from the start of the firewall's process to its first answer, with a server that is
// there at once and one that takes three seconds to start.
func (b *bench) firstAnswer(r *results) error {
	for _, server := range []struct{ name, wait string }{{"quick server", "0s"}, {"server that takes 3 s to start", "3s"}} {
		for _, e := range b.eras {
			name := fmt.Sprintf("start %s %s", e, server.name)
			if !b.wanted(name) {
				continue
			}
			b.say("%s", name)
			var took []time.Duration
			for i := range pick(b.quick, 3, 21) {
				d, err := b.startOnce(e, server.wait)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				if i > 0 { // the first one pays for reading the program from disk
					took = append(took, d)
				}
			}
			r.Start = append(r.Start, startRow{
				Era: e, Server: server.name, Starts: len(took), Target: 50,
				P50: micros(quantile(took, 0.5)) / 1000, Max: micros(slices.Max(took)) / 1000,
			})
		}
	}
	return nil
}

// startOnce starts the firewall over stdio, waits for the first answer, and ends it.
func (b *bench) startOnce(e era, wait string) (time.Duration, error) {
	path, _, err := b.config(b.stdioServer(e, "-wait", wait))
	if err != nil {
		return 0, err
	}
	start := time.Now()
	conn, err := startStdio(b.environ(), b.binary, "run", "--config", path)
	if err != nil {
		return 0, err
	}
	err = (&client{conn: conn, era: e}).hello()
	took := time.Since(start)
	if endErr := conn.close(); err == nil {
		err = endErr
	}
	return took, err
}

// quantile returns the q-th quantile of d, which it sorts.
func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))]
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
