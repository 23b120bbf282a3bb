package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// readEvents returns what a reader makes of the stream, one line for each event.
func readEventsOf(r io.Reader, max int) (events []string, last *eventReader) {
	s := newEventReader(r, max)
	for {
		e, err := s.next()
		var long *tooLong
		switch {
		case errors.As(err, &long):
			events = append(events, fmt.Sprintf("too long: %d", long.size))
		case err != nil:
			return events, s
		default:
			events = append(events, e.name+"|"+string(e.data)+"|"+s.lastID)
		}
	}
}

func TestEvents(t *testing.T) {
	tests := []struct {
		stream string
		want   []string
	}{
		{"data: a\n\n", []string{"|a|"}},
		{"data:a\r\rdata:  b\r\n\r\n", []string{"|a|", "| b|"}},
		{"\ufeffdata: a\n\n\ufeffdata: b\n\n", []string{"|a|"}},
		{"data: a\ndata: b\ndata\ndata:\n\n", []string{"|a\nb\n\n|"}},
		{": comment\n:\nevent: x\ndata: a\n\ndata: b\n\n", []string{"x|a|", "|b|"}},
		{"event: message\ndata: a\n\n", []string{"|a|"}},
		{"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", []string{"|a|1", "|b|1", "|c|"}},
		{"id: a\x00b\ndata: a\n\n", []string{"|a|"}},
		{"id: 1\n\ndata: a\n\n", []string{"|a|1"}},
		{"database: a\ndat: b\n\n", nil},
		{"data\n\ndata:\n\n", nil},
		{"data: a\n\ndata: cut", []string{"|a|"}},
		{"data: a\n\ndata: cut\n", []string{"|a|"}},
		{"data: 0123456789\n\ndata: a\n\n", []string{"|0123456789|", "|a|"}},
		{"data: 0123456789abcdef\n\ndata: a\n\n", []string{"too long: 22", "|a|"}},
		{"data: 01234\ndata: 56789\n\ndata: a\n\n", []string{"too long: 11", "|a|"}},
		{"data: 01234\ndata: 56789\ndata: xyz\n\ndata: a\n\n", []string{"too long: 14", "|a|"}},
	}
	for _, test := range tests {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(test.stream), "bytewise": iotest.OneByteReader(strings.NewReader(test.stream)),
		} {
			got, _ := readEventsOf(r, 10)
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
				t.Errorf("%q %s: %q, want %q", test.stream, name, got, test.want)
			}
		}
	}
}

func TestEventRetry(t *testing.T) {
	for stream, want := range map[string]time.Duration{
		"":                       -1,
		"retry: 1500\n":          1500 * time.Millisecond,
		"retry: 10\nretry: -5\n": 10 * time.Millisecond,
		"retry: x\n":             -1,
		"retry: 4000000000\n":    maxRetry,
		"retry: 99999999999\n":   -1,
	} {
		if _, r := readEventsOf(strings.NewReader(stream), 100); r.retry != want {
			t.Errorf("%q: %v, want %v", stream, r.retry, want)
		}
	}
}

// FuzzSSE holds the bounded, buffering reader against a plain reading of the standard.
func FuzzSSE(f *testing.F) {
	for _, s := range []string{
		"data: a\n\n", "\ufeffdata: a\r\rid: 3\r\n\r\n", "event: x\ndata: a\ndata: b\n\n", ": c\n\nretry: 7\n\n",
		"data: " + strings.Repeat("x", 200) + "\n\ndata: y\n\n", "data\rdata\r\n\ndata:\n\r",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, stream []byte, chunk int) {
		const max = 64
		got, r := readEventsOf(&chunkReader{stream, 1 + chunk&63}, max)
		for _, e := range got {
			if len(e) > max+len("data: ")+len(stream) {
				t.Fatalf("event %q", e)
			}
		}
		if cap(r.lines.buf) > 4*eventBuffer {
			t.Fatalf("the buffer grew to %d bytes", cap(r.lines.buf))
		}
		want := plainEvents(stream, max+len("data: "))
		j := 0
		for _, e := range got {
			if strings.HasPrefix(e, "too long") && !(j < len(want) && want[j] == e) {
				if j >= len(want) || len(want[j]) <= max {
					t.Fatalf("stream %q: events %q, want %q", stream, got, want)
				}
				j++
				continue
			}
			if j >= len(want) || want[j] != e {
				t.Fatalf("stream %q: events %q, want %q", stream, got, want)
			}
			j++
		}
		if j != len(want) {
			t.Fatalf("stream %q: events %q, want %q", stream, got, want)
		}
	})
}

// plainEvents reads a stream as the standard puts it, without bounds but that of lines
// other than data.
func plainEvents(stream []byte, max int) (events []string) {
	s := strings.TrimPrefix(string(stream), "\ufeff")
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(s, "\n")
	var name, id, lastID string
	var data []string
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			lastID = id
			if d := strings.Join(data, "\n"); d != "" {
				if name == "message" {
					name = ""
				}
				events = append(events, name+"|"+d+"|"+lastID)
			}
			name, data = "", nil
			continue
		}
		f, v, _ := strings.Cut(line, ":")
		if f != "data" && len(line) > max {
			continue
		}
		v = strings.TrimPrefix(v, " ")
		switch f {
		case "data":
			data = append(data, v)
		case "event":
			name = v
		case "id":
			if !strings.Contains(v, "\x00") && len(v) <= maxEventID {
				id = v
			}
		}
	}
	return events
}

// chunkReader reads in pieces of n bytes.
type chunkReader struct {
	b []byte
	n int
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.n)], r.b)
	r.b = r.b[n:]
	return n, nil
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 100)
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"a\nb\r\n\nc", []string{"a", "b", "", "c"}},
		{strings.Repeat("y", 20) + "\r\n" + strings.Repeat("y", 20) + "\n", []string{strings.Repeat("y", 20), strings.Repeat("y", 20)}},
		{strings.Repeat("y", 21) + "\na\n", []string{"too long: 21", "a"}},
		{long + "\na\n" + long + "\n" + long, []string{"too long: 100", "a", "too long: 100", "too long: 100"}},
	}
	for _, test := range tests {
		for chunk := range 120 {
			l := lineReader{r: &chunkReader{[]byte(test.in), 1 + chunk}, max: 20, base: 8}
			var got []string
			for {
				line, err := l.next()
				var long *tooLong
				if errors.As(err, &long) {
					got = append(got, fmt.Sprintf("too long: %d", long.size))
				} else if err != nil {
					break
				} else {
					got = append(got, string(line))
				}
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
				t.Fatalf("%q in pieces of %d: %q, want %q", test.in, chunk+1, got, test.want)
			}
		}
	}
}

// A line that was handed over is not written to again.
func TestLinesOwn(t *testing.T) {
	var in bytes.Buffer
	var want []string
	for i := range 50 {
		s := strings.Repeat(string(rune('a'+i%26)), 1+i*i)
		want = append(want, s)
		in.WriteString(s + "\n")
	}
	l := lineReader{r: &in, max: 1 << 20, base: 16}
	var got [][]byte
	for {
		line, err := l.next()
		if err != nil {
			break
		}
		got = append(got, l.own(line))
	}
	for i, s := range want {
		if string(got[i]) != s {
			t.Fatalf("line %d changed to %.50q", i, got[i])
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nbb\r\n\nccc"), 1)
	f.Add([]byte(strings.Repeat("z", 100)+"\nq\n"), 7)
	f.Fuzz(func(t *testing.T, in []byte, chunk int) {
		const max, base = 24, 8
		l := lineReader{r: &chunkReader{in, 1 + chunk&31}, max: max, base: base}
		want := strings.Split(string(in), "\n")
		if n := len(want) - 1; want[n] == "" {
			want = want[:n]
		}
		for i, s := range want {
			line, err := l.next()
			s = strings.TrimSuffix(s, "\r")
			var long *tooLong
			switch {
			case errors.As(err, &long):
				if len(s) <= max || len(long.head) > edgeSize || !strings.HasPrefix(s, string(long.head)) {
					t.Fatalf("line %d %q: %v, head %q", i, s, err, long.head)
				}
			case err != nil || string(line) != s || len(s) > max:
				t.Fatalf("line %d: %q, %v; want %q", i, line, err, s)
			}
			if len(l.buf) > 8*(max+base) {
				t.Fatalf("the buffer grew to %d bytes", len(l.buf))
			}
		}
		if line, err := l.next(); err != io.EOF {
			t.Fatalf("at the end: %q, %v", line, err)
		}
	})
}

func FuzzRecoverID(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":12,"result":{"id":3}}`))
	f.Add([]byte(`{"result":{"id":3,"x":"\"id\":4}"},"id":"a\"b"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id := jsonrpc.RecoverID(head(b), tail(b)); id != nil && !bytes.Contains(b, id) {
			t.Fatalf("%q: id %q", b, id)
		}
	})
}

func TestRecoverID(t *testing.T) {
	fill := strings.Repeat(`"x",`, 5000)
	tests := []struct{ in, want string }{
		{`{"jsonrpc":"2.0","id":12,"result":`, "12"},
		{`{"jsonrpc":"2.0", "id" : "a\"b" , "result":`, `"a\"b"`},
		{`{"result":{"id":3},"id":4,`, "4"},
		{`{"result":{"id":3,`, ""},
		{`{"id":1234`, ""}, // may be cut
		{`{"id":{},"x":1}`, ""},
		{`{"id":01,"x":1}`, ""},
		{`{"result":[` + fill + `{"id":3}],"id":5}`, "5"},
		{`{"result":[` + fill + `{"id":3}],"id":"é" , "jsonrpc":"2.0"} `, `"é"`},
		{`{"result":[` + fill + `{"id":3}]}`, ""},
		{`{"result":[` + fill + `"\"id\":5}`, ""},
		{"", ""},
	}
	for _, test := range tests {
		b := []byte(test.in)
		if got := string(jsonrpc.RecoverID(head(b), tail(b))); got != test.want {
			t.Errorf("%.60q: %q, want %q", test.in, got, test.want)
		}
	}
}
