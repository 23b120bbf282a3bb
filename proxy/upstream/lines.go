package upstream

import (
	"bytes"
	"fmt"
	"io"
)

// edgeSize is how much of the start and of the end of a message above the limit is kept,
// to find its id in.
const edgeSize = 4096

// lineReader splits a stream into lines of bounded length. Its buffer grows with the
// longest line and shrinks again; nothing is copied that need not be.
type lineReader struct {
	r    io.Reader
	max  int  // bytes of a line without its end
	base int  // size of the buffer as long as lines fit it
	cr   bool // a CR alone ends a line too, as in server-sent events

	buf     []byte
	start   int // of the line that is being read
	scanned int // up to here there is no end of a line
	end     int // of what was read
	hint    int // size of the last line that was longer than base; the next one is often like it
	skipLF  bool
	err     error
}

// maxHint bounds lineReader.hint, since it makes room before there is need.
const maxHint = 4 << 20

// tooLong is the error for a line or event above the limit. The reader can go on after
// it.
type tooLong struct {
	size       int
	max        int
	head, tail []byte
}

// Error says how long the line was.
func (e *tooLong) Error() string {
	return fmt.Sprintf("a message of %d bytes is above the limit of %d", e.size, e.max)
}

// next returns the next line without its end; the line is valid until the next call. The
// last line of the stream needs no end. The error is a *tooLong, or that of the stream.
func (l *lineReader) next() ([]byte, error) {
	l.shrink()
	for {
		if i := l.find(); i >= 0 {
			line := l.buf[l.start:i]
			l.skipLF = l.cr && l.buf[i] == '\r'
			l.start, l.scanned = i+1, i+1
			return l.trim(line)
		}
		l.scanned = l.end
		if l.end-l.start > l.max+1 { // one for the CR of a CRLF
			return nil, l.skip()
		}
		if l.err != nil {
			line := l.buf[l.start:l.end]
			l.start, l.scanned = l.end, l.end
			if len(line) == 0 {
				return nil, l.err
			}
			return l.trim(line)
		}
		l.fill()
	}
}

// ready reports whether the next line is there already.
func (l *lineReader) ready() bool { return l.find() >= 0 }

// trim takes the CR of a CRLF away, and holds the line against the limit.
func (l *lineReader) trim(line []byte) ([]byte, error) {
	if !l.cr && len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	if len(line) > l.max {
		return nil, &tooLong{len(line), l.max, bytes.Clone(head(line)), bytes.Clone(tail(line))}
	}
	return line, nil
}

// find returns the offset of the end of the current line, or -1.
func (l *lineReader) find() int {
	if l.skipLF && l.scanned < l.end {
		if l.skipLF = false; l.buf[l.scanned] == '\n' {
			l.start++
			l.scanned++
		}
	}
	fresh := l.buf[l.scanned:l.end]
	i := bytes.IndexByte(fresh, '\n')
	if l.cr {
		if i >= 0 {
			fresh = fresh[:i]
		}
		if j := bytes.IndexByte(fresh, '\r'); j >= 0 {
			i = j
		}
	}
	if i < 0 {
		return -1
	}
	return l.scanned + i
}

// fill reads once, making room before.
func (l *lineReader) fill() {
	switch {
	case l.start == l.end:
		l.start, l.scanned, l.end = 0, 0, 0
	case l.end == len(l.buf) && l.start > len(l.buf)/2:
		copy(l.buf, l.buf[l.start:l.end])
		l.scanned, l.end, l.start = l.scanned-l.start, l.end-l.start, 0
	}
	if l.end == len(l.buf) {
		size := min(max(2*(l.end-l.start), min(l.hint, maxHint)+l.base), l.max+l.base)
		grown := make([]byte, max(size, l.end-l.start+l.base))
		copy(grown, l.buf[l.start:l.end])
		l.scanned, l.end, l.start = l.scanned-l.start, l.end-l.start, 0
		l.buf = grown
	}
	n, err := l.r.Read(l.buf[l.end:])
	l.end += n
	l.err = err
}

// shrink lets go of a buffer that a long line has left behind.
func (l *lineReader) shrink() {
	if len(l.buf) > 4*l.base && l.end-l.start <= l.base {
		rest := l.buf[l.start:l.end]
		l.buf = make([]byte, l.base)
		l.start, l.scanned, l.end = 0, 0, copy(l.buf, rest)
	}
}

// skip drops the rest of a line that is too long, keeping both of its edges.
func (l *lineReader) skip() error {
	e := &tooLong{size: 0, max: l.max, head: bytes.Clone(head(l.buf[l.start:l.end]))}
	for {
		i := l.find()
		stop := i
		if i < 0 {
			stop = l.end
		}
		piece := l.buf[l.start:stop]
		e.size += len(piece)
		e.tail = bytes.Clone(tail(append(e.tail, tail(piece)...)))
		if i >= 0 {
			l.skipLF = l.cr && l.buf[i] == '\r'
			l.start, l.scanned = i+1, i+1
			return e
		}
		l.start, l.scanned, l.end = 0, 0, 0
		if l.err != nil {
			return e
		}
		l.shrink()
		l.fill()
	}
}

// own returns line, a part of what next returned last, in memory of its own: a copy, or
// the buffer itself where the line fills most of it.
func (l *lineReader) own(line []byte) []byte {
	if len(line) > l.base {
		l.hint = len(line)
	}
	if len(line) < 4*l.base || len(line) < len(l.buf)/2 {
		return bytes.Clone(line)
	}
	rest := l.buf[l.start:l.end]
	l.buf = make([]byte, max(l.base, len(rest)))
	l.start, l.scanned, l.end = 0, 0, copy(l.buf, rest)
	return line[:len(line):len(line)]
}

func head(b []byte) []byte { return b[:min(len(b), edgeSize)] }

func tail(b []byte) []byte { return b[max(0, len(b)-edgeSize):] }
