package downstream

import (
	"bytes"
	"errors"
	"io"
)

// errTooLong is returned for a line above the limit. It was skipped, the next one can be
// read.
var errTooLong = errors.New("line too long")

// lineReader reads lines of bounded length. Each line is a buffer of its own, because a
// parsed message keeps the bytes that it was read from.
type lineReader struct {
	in   io.Reader
	max  int // bytes of a line without its end
	buf  []byte
	r, w int // buf[r:w] was read and belongs to the next line
	err  error
}

func newLineReader(in io.Reader, max int) *lineReader {
	return &lineReader{in: in, max: max, buf: make([]byte, 64<<10)}
}

// next returns the next line without its end. At the end of the input it returns what
// follows the last newline, if anything, and then the error of the reader.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	skip := false
	for {
		have := l.buf[l.r:l.w]
		end := bytes.IndexByte(have, '\n')
		l.r += len(have)
		if end >= 0 {
			l.r += end + 1 - len(have)
			have = have[:end]
		}
		if skip = skip || len(line)+len(have) > l.max; skip {
			line = nil
		} else {
			line = append(line, have...)
		}
		switch {
		case (end >= 0 || l.err != nil) && skip:
			return nil, errTooLong
		case end >= 0 || l.err != nil && len(line) > 0:
			return line, nil
		case l.err != nil:
			return nil, l.err
		}
		l.fill()
	}
}

// fill reads into the buffer, of which nothing is left.
func (l *lineReader) fill() {
	l.r, l.w = 0, 0
	for range 100 { // a Reader may return 0, nil, but not for ever
		n, err := l.in.Read(l.buf)
		l.w = n
		if l.err = err; n > 0 || err != nil {
			return
		}
	}
	l.err = io.ErrNoProgress
}
