package sqlite

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// The test binary is also the other process, which hammers the state in a folder.
const hammerDir = "MCPFIREWALL_TEST_HAMMER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(hammerDir); dir != "" {
		hammerForever(dir)
	}
	os.Exit(m.Run())
}

// Amounts of one to three units, so that the room is not filled evenly.
func hammerCharges(worker, i int) []state.Charge {
	amount := int64(1+(worker+i)%3) * one
	count := state.Charge{Limit: "count", Key: "all", Amount: one, Max: 1200 * one, Window: state.Window{Sliding: time.Hour}}
	sum := state.Charge{Limit: "sum", Key: "all", Amount: amount, Max: 2000 * one, Window: state.Window{Period: "day"}, Durable: worker%8 == 0}
	return []state.Charge{count, sum}
}

// hammer reserves, and releases every fifth, until both limits are full. It
// returns what it was granted and kept.
func hammer(s *Store, name string, workers int, report func(worker, i int, kept bool)) error {
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", name, w, i)
				charges := hammerCharges(w, i)
				v, err := s.Reserve(ctx, start, id, charges)
				if err != nil {
					errs <- err
					return
				}
				if len(v.Exceeded) > 0 {
					return
				}
				release := i%5 == 4
				if i%7 == 0 { // sent again
					if v, err := s.Reserve(ctx, start, id, charges); err != nil || len(v.Exceeded) > 0 {
						errs <- fmt.Errorf("a reservation did not cover its own call: %+v, %v", v, err)
						return
					}
				}
				if release {
					if err := s.Release(ctx, id); err != nil {
						errs <- err
						return
					}
				}
				report(w, i, !release)
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func hammerForever(dir string) {
	s := New(Options{Dir: dir, LockWait: time.Minute})
	var mu sync.Mutex
	err := hammer(s, "child", 32, func(w, i int, kept bool) {
		if kept {
			mu.Lock()
			defer mu.Unlock()
			fmt.Printf("%d %d\n", w, i)
		}
	})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestHammer has 64 goroutines in this process and 32 in another count toward
// the same limits: what both were granted is what the file says, to the unit.
func TestHammer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := newStore(t, Options{Dir: dir, LockWait: time.Minute})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hammerDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var count, sum, fromChild atomic.Int64
	add := func(w, i int) {
		count.Add(one)
		sum.Add(hammerCharges(w, i)[1].Amount)
	}
	lines := bufio.NewScanner(out)
	first := lines.Scan() // both hammer at the same time
	done := make(chan error)
	go func() {
		for ok := first; ok; ok = lines.Scan() {
			var w, i int
			if _, err := fmt.Sscanf(lines.Text(), "%d %d", &w, &i); err != nil {
				done <- fmt.Errorf("the other process says %q", lines.Text())
				return
			}
			fromChild.Add(1)
			add(w, i)
		}
		done <- cmd.Wait()
	}()
	err = hammer(s, "parent", 64, func(w, i int, kept bool) {
		if kept {
			add(w, i)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	charges := hammerCharges(0, 0)
	rooms, err := s.Peek(ctx, start, charges)
	if err != nil {
		t.Fatal(err)
	}
	for i, granted := range []int64{count.Load(), sum.Load()} {
		if used := charges[i].Max - rooms[i].Left; used != granted {
			t.Errorf("%s: %d were granted and %d are used", charges[i].Limit, granted/one, used/one)
		}
		if granted > charges[i].Max {
			t.Errorf("%s: %d were granted of %d", charges[i].Limit, granted/one, charges[i].Max/one)
		}
	}
	if rooms[0].Left > 0 && rooms[1].Left >= 3*one {
		t.Errorf("neither limit is used up: %+v", rooms)
	}
	if fromChild.Load() == 0 || fromChild.Load() == count.Load()/one {
		t.Errorf("one process alone was granted everything: %d of %d", fromChild.Load(), count.Load()/one)
	}
	integrity(t, s)
}

func integrity(t *testing.T, s *Store) {
	t.Helper()
	var said string
	if err := s.db.conn.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&said); err != nil || said != "ok" {
		t.Errorf("integrity: %q, %v", said, err)
	}
	var wrong int
	err := s.db.conn.QueryRowContext(ctx, `SELECT count(*) FROM counters c
		WHERE total <> (SELECT coalesce(sum(amount), 0) FROM used u WHERE u.counter = c.counter)`).Scan(&wrong)
	if err != nil || wrong > 0 {
		t.Errorf("%d counters differ from the sum of their rows, %v", wrong, err)
	}
}

// A process that is killed in the middle loses nothing that it was granted.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hammerDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var granted, sum int64
	for lines.Scan() {
		var w, i int
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &w, &i); err != nil {
			break // cut off by the kill
		}
		granted += one
		sum += hammerCharges(w, i)[1].Amount
		if granted == 300*one {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Wait()
	s := newStore(t, Options{Dir: dir})
	charges := hammerCharges(0, 0)
	rooms, err := s.Peek(ctx, start, charges)
	if err != nil {
		t.Fatal(err)
	}
	// At most one call of each worker was granted without being reported.
	used, slack := charges[0].Max-rooms[0].Left, int64(32*one)
	if used < granted || used > granted+slack {
		t.Errorf("%d are used, %d were granted", used/one, granted/one)
	}
	if used := charges[1].Max - rooms[1].Left; used < sum || used > sum+3*slack {
		t.Errorf("a sum of %d is used, %d was granted", used/one, sum/one)
	}
	integrity(t, s)
}

func TestSynchronous(t *testing.T) {
	s := newStore(t, Options{})
	for i, durable := range []bool{false, true, false, true} {
		c := daily(one, 10*one)
		c.Durable = durable
		granted(t, s, start, fmt.Sprint(i), c)
		var mode int
		want := map[bool]int{false: 1, true: 2}[durable]
		if err := s.db.conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&mode); err != nil || mode != want {
			t.Errorf("durable %v: synchronous is %d, %v", durable, mode, err)
		}
	}
}

func TestUnusable(t *testing.T) {
	charge := []state.Charge{daily(one, 10*one)}
	for name, spoil := range map[string]func(t *testing.T, path string){
		"text":  func(t *testing.T, path string) { write(t, path, strings.Repeat("not a database\n", 1000)) },
		"empty": func(t *testing.T, path string) { write(t, path, "") },
		"torn": func(t *testing.T, path string) {
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
		},
		"overwritten": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for at := int64(4096); at < 10*4096; at += 4096 {
				f.WriteAt([]byte(strings.Repeat("\xff", 200)), at)
			}
		},
		"folder": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"other version": func(t *testing.T, path string) {
			db, err := connect(path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.close()
			if _, err := db.conn.ExecContext(ctx, "PRAGMA user_version = 99"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "s")
			s := newStore(t, Options{Dir: dir})
			granted(t, s, start, "1", charge...)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			spoil(t, filepath.Join(dir, FileName))
			s = newStore(t, Options{Dir: dir})
			for range 2 {
				if v, err := s.Reserve(ctx, start, "2", charge); err == nil {
					t.Errorf("counted: %+v", v)
				} else {
					t.Log(err)
				}
			}
			if _, err := s.Peek(ctx, start, charge); err == nil {
				t.Error("read")
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReplaced(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed on Windows")
	}
	dir := filepath.Join(t.TempDir(), "s")
	s := newStore(t, Options{Dir: dir})
	c := daily(one, one)
	granted(t, s, start, "1", c)
	if err := os.Remove(filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if v, err := s.Reserve(ctx, start, "2", []state.Charge{c}); err == nil {
			t.Fatalf("a removed file counts: %+v", v)
		}
		granted(t, newStore(t, Options{Dir: filepath.Join(t.TempDir(), "x")}), start, "1", c)
	}
	granted(t, newStore(t, Options{Dir: dir}), start, "1", c) // a restart
	if v, err := s.Reserve(ctx, start, "2", []state.Charge{c}); err == nil {
		t.Fatalf("a replaced file counts: %+v", v)
	}
}

func TestFull(t *testing.T) {
	s := newStore(t, Options{maxPages: 40})
	for i := range 10_000 {
		c := daily(one, one)
		c.Key = fmt.Sprint(i)
		if _, err := s.Reserve(ctx, start, fmt.Sprint(i), []state.Charge{c}); err != nil {
			if !strings.Contains(err.Error(), "full") {
				t.Error(err)
			}
			// What was counted still is, and the store goes on once there is room.
			c.Key = "0"
			if rooms, err := s.Peek(ctx, start, []state.Charge{c}); err != nil || rooms[0].Left != 0 {
				t.Errorf("%+v, %v", rooms, err)
			}
			integrity(t, s)
			return
		}
	}
	t.Error("a file of 40 pages holds 10,000 counters")
}

func TestLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s := newStore(t, Options{Dir: dir, LockWait: 50 * time.Millisecond})
	c := daily(one, 10*one)
	granted(t, s, start, "1", c)
	other, err := connect(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if _, err := other.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Reserve(ctx, start, "2", []state.Charge{c}); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := other.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	granted(t, s, start, "2", c)
}

// Nothing is opened before it is used.
func TestLazy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s := newStore(t, Options{Dir: dir})
	if _, err := s.Reserve(ctx, start, "1", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
}
