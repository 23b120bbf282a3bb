package downstream

import (
	"bytes"
	"errors"
	"io"
)

// errTooLong is returned for a line above the limit. It was skipped, the next one can be
// read.
var errTooLong = errors.New("line too long")

// readSize is how many bytes are asked for at once.
const readSize = 64 << 10

// maxHint bounds lineReader.hint, since it makes room before there is need.
const maxHint = 4 << 20

// lineReader reads lines of bounded length. Each line is a buffer of its own, because a
// parsed message keeps the bytes that it was read from.
type lineReader struct {
	in   io.Reader
	max  int // bytes of a line without its end
	buf  []byte
	r, w int // buf[r:w] was read and belongs to the next line
	hint int // size of the last long line; the next one is often like it
	err  error
}

func newLineReader(in io.Reader, max int) *lineReader {
	return &lineReader{in: in, max: max, buf: make([]byte, readSize)}
}

// next returns the next line without its end. At the end of the input it returns what
// follows the last newline, if anything, and then the error of the reader.
func (l *lineReader) next() ([]byte, error) {
	for seen := l.r; ; {
		if end := bytes.IndexByte(l.buf[seen:l.w], '\n'); end >= 0 {
			line := l.buf[l.r : seen+end]
			l.r = seen + end + 1
			return l.bounded(bytes.Clone(line))
		}
		have := l.buf[l.r:l.w]
		switch {
		case l.err != nil && len(have) == 0:
			return nil, l.err
		case l.err != nil:
			l.r = l.w
			return l.bounded(bytes.Clone(have))
		case len(have) == len(l.buf):
			l.r = l.w
			return l.long(have)
		}
		seen = copy(l.buf, have)
		l.r, l.w = 0, seen+l.read(l.buf[seen:])
	}
}

// ready reports whether the next line is there already.
func (l *lineReader) ready() bool { return bytes.IndexByte(l.buf[l.r:l.w], '\n') >= 0 }

func (l *lineReader) bounded(line []byte) ([]byte, error) {
	if len(line) > l.max {
		return nil, errTooLong
	}
	return line, nil
}

// long reads the rest of a line, which begins with start, into the line's own buffer.
func (l *lineReader) long(start []byte) ([]byte, error) {
	line := append(make([]byte, 0, 2*readSize), start...)
	for {
		if len(line) > l.max {
			return nil, l.skip()
		}
		if cap(line)-len(line) < readSize {
			size := 2 * cap(line)
			if l.hint > size {
				size = l.hint + readSize // which leaves room for the last read
			}
			line = append(make([]byte, 0, min(size, l.max+2*readSize)), line...)
		}
		// No more is read than buf can take of it, should the line end with the first byte.
		fresh := line[len(line) : len(line)+readSize]
		fresh = fresh[:l.read(fresh)]
		if end := bytes.IndexByte(fresh, '\n'); end >= 0 {
			l.r, l.w = 0, copy(l.buf, fresh[end+1:])
			line = line[:len(line)+end]
		} else {
			line = line[:len(line)+len(fresh)]
			if l.err == nil {
				continue
			}
		}
		if l.hint = min(len(line), maxHint); len(line) < cap(line)/2 {
			line = bytes.Clone(line)
		}
		return l.bounded(line)
	}
}

// skip drops the rest of a line that is too long.
func (l *lineReader) skip() error {
	for l.err == nil {
		fresh := l.buf[:l.read(l.buf)]
		if end := bytes.IndexByte(fresh, '\n'); end >= 0 {
			l.r, l.w = end+1, len(fresh)
			return errTooLong
		}
	}
	l.r, l.w = 0, 0
	return errTooLong
}

// read reads into b and notes an error, which may come with bytes.
func (l *lineReader) read(b []byte) int {
	for range 100 { // a Reader may return 0, nil, but not for ever
		n, err := l.in.Read(b)
		if l.err = err; n > 0 || err != nil {
			return n
		}
	}
	l.err = io.ErrNoProgress
	return 0
}
