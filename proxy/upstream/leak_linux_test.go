package upstream

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"
)

func descriptors(t *testing.T) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// Nothing is left of connections that were closed or have ended.
func TestNothingLeaks(t *testing.T) {
	echo := sseServer(t, "/m")
	legacy, _ := legacyServer(t, noStream, nil)
	use := func(o Options, r *recorder) {
		c, err := Open(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if o.URL == legacy {
			handshake(t, c)
		} else {
			c.Send(context.Background(), request(1, "{}"))
		}
		if o.Name != "dying" {
			c.Close()
		}
		r.awaitClosed(t)
	}
	round := func() {
		for _, role := range []string{"echo", "die:3", "chatty"} {
			r := newRecorder()
			o := childOptions(r, role)
			if role == "die:3" {
				o.Name = "dying"
			}
			use(o, r)
		}
		r := newRecorder()
		use(sseOptions(r, echo), r)
		r = newRecorder()
		use(webOptions(r, legacy), r)
		o := childOptions(newRecorder(), "")
		o.Command = "/dev/null"
		if _, err := Open(context.Background(), o); err == nil {
			t.Error("/dev/null was started")
		}
	}
	round()
	settle := func(what string, limit int, count func() int) {
		t.Helper()
		n := count()
		for end := time.Now().Add(20 * time.Second); n > limit; n = count() {
			if time.Now().After(end) {
				buf := make([]byte, 1<<20)
				t.Fatalf("%d %s, %d before\n%s", n, what, limit, buf[:runtime.Stack(buf, true)])
			}
			time.Sleep(5 * time.Millisecond) // connections end at either side in their own time
		}
	}
	goroutines, files := 0, 0
	for i, last := 0, -1; i < 1000 && last != runtime.NumGoroutine(); i++ { // until it is steady
		last = runtime.NumGoroutine()
		time.Sleep(20 * time.Millisecond)
	}
	goroutines, files = runtime.NumGoroutine(), descriptors(t)
	for range 5 {
		round()
	}
	settle("goroutines", goroutines, runtime.NumGoroutine)
	settle("descriptors", files, func() int { return descriptors(t) })
	settle("processes", 0, func() int { return below(t) })
}
