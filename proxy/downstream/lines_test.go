package downstream

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLineReader(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	limit := strings.Repeat("y", 200<<10)
	tests := []struct {
		name, in string
		want     []string // "!" is errTooLong
	}{
		{"empty", "", nil},
		{"one", "a\n", []string{"a"}},
		{"no end", "a", []string{"a"}},
		{"empty lines", "\n\na\n", []string{"", "", "a"}},
		{"longer than the buffer", long + "\nb\n", []string{long, "b"}},
		{"shorter after longer", limit + "\n" + long + "\n" + long[:90<<10] + "\nb\n" + limit + "\n", []string{limit, long, long[:90<<10], "b", limit}},
		{"across the buffer's end", strings.Repeat("0123456789\n", 20_000), slices.Repeat([]string{"0123456789"}, 20_000)},
		{"at the limit", limit + "\nb\n", []string{limit, "b"}},
		{"above the limit", limit + "y\nb\n", []string{"!", "b"}},
		{"far above the limit", strings.Repeat(limit, 20) + "\nb", []string{"!", "b"}},
		{"above the limit without end", limit + "y", []string{"!"}},
		{"two above the limit", limit + "y\n" + limit + "z\n\n", []string{"!", "!", ""}},
	}
	for _, tt := range tests {
		for how, in := range map[string]io.Reader{
			"whole":  strings.NewReader(tt.in),
			"halves": iotest.HalfReader(strings.NewReader(tt.in)),
			"eof":    iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			t.Run(tt.name+"/"+how, func(t *testing.T) {
				l := newLineReader(in, len(limit))
				var got []string
				for {
					line, err := l.next()
					if errors.Is(err, errTooLong) {
						line = []byte("!")
					} else if err == io.EOF {
						break
					} else if err != nil {
						t.Fatal(err)
					}
					got = append(got, string(line))
				}
				if strings.Join(got, "\n") != strings.Join(tt.want, "\n") || len(got) != len(tt.want) {
					t.Errorf("got %d lines, want %d", len(got), len(tt.want))
				}
			})
		}
	}
}

func TestLineReaderOwnsLines(t *testing.T) {
	l := newLineReader(strings.NewReader("first\nsecond\n"), 100)
	first, _ := l.next()
	if _, err := l.next(); err != nil || string(first) != "first" {
		t.Fatalf("first line became %q, error %v", first, err)
	}
}

// TestLineReaderKeepsLittle holds that a line's buffer is of about its size, whatever size
// the line before it had.
func TestLineReaderKeepsLittle(t *testing.T) {
	const large, small = 3 << 20, 100 << 10
	l := newLineReader(strings.NewReader(strings.Repeat("x", large)+"\n"+strings.Repeat("y", small)+"\n"), large)
	for _, n := range []int{large, small} {
		if line, err := l.next(); err != nil || len(line) != n || cap(line) > 2*n {
			t.Errorf("a line of %d bytes has %d, in a buffer of %d, error %v", n, len(line), cap(line), err)
		}
	}
}

// endless gives the same byte for ever and counts how many were taken.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n += len(p); e.n > 200<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestLineReaderSkipsWithoutStoring(t *testing.T) {
	l := newLineReader(&endless{}, 1<<20)
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		if _, err := l.next(); b.N == 1 && !errors.Is(err, errTooLong) {
			b.Fatal(err)
		}
	})
	if got.MemBytes > 8<<20 {
		t.Errorf("a line of 200 MiB took %d bytes of memory", got.MemBytes)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestLineReaderNoProgress(t *testing.T) {
	if _, err := newLineReader(stuck{}, 10).next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

func FuzzLineReader(f *testing.F) {
	f.Add([]byte("a\nbb\n\nccc"), 2)
	f.Add([]byte(strings.Repeat("z", 300)), 100)
	f.Fuzz(func(t *testing.T, in []byte, max int) {
		if max < 1 || max > 1<<20 {
			return
		}
		// Every input is the lines that splitting at newlines gives, each whole or refused.
		want := strings.Split(string(in), "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		l := newLineReader(iotest.OneByteReader(strings.NewReader(string(in))), max)
		for _, w := range want {
			line, err := l.next()
			if len(w) > max != errors.Is(err, errTooLong) || err == nil && string(line) != w {
				t.Fatalf("got %q, %v; want %q with limit %d", line, err, w, max)
			}
		}
		if _, err := l.next(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
}
