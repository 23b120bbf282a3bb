package upstream

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/rs/zerolog"
)

const (
	stderrLine  = 64 << 10 // bytes of a line that is logged whole; of a longer one, the start
	stderrQueue = 1 << 20  // bytes that wait to be logged; lines on top are dropped
	lastLines   = 5        // lines that the reason of an exit quotes
	lastSize    = 600      // bytes of them
)

// stderrLog logs what a server writes to its standard error. Reading never waits for the
// log, so that a log which does not get on cannot hold up the server.
type stderrLog struct {
	file    *os.File
	log     zerolog.Logger
	scrub   func(string) string
	drained chan struct{} // closed when file has been read to its end

	mu      sync.Mutex
	wake    sync.Cond
	queue   []string
	size    int // bytes in queue
	dropped int
	ended   bool
	last    []string // of all lines, raw
}

func newStderrLog(o *Options, file *os.File) *stderrLog {
	l := &stderrLog{
		file:    file,
		log:     o.Log.With().Str("stream", "stderr").Logger(),
		scrub:   o.Scrub,
		drained: make(chan struct{}),
	}
	l.wake.L = &l.mu
	return l
}

// read reads until the end.
func (l *stderrLog) read() {
	defer close(l.drained)
	defer l.file.Close()
	defer func() {
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		l.wake.Signal()
	}()
	lines := lineReader{r: l.file, max: stderrLine, base: 4 << 10}
	for {
		line, err := lines.next()
		text := string(line)
		var long *tooLong
		if errors.As(err, &long) {
			text = uncut(string(long.head)) + " ... (the line has " + strconv.Itoa(long.size) + " bytes)"
		} else if err != nil {
			return
		}
		if strings.TrimSpace(text) != "" {
			l.add(text)
		}
	}
}

func (l *stderrLog) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	short := text
	if len(short) > lastSize {
		short = uncut(short[:lastSize]) + " ..."
	}
	if l.last = append(l.last, short); len(l.last) > lastLines {
		l.last = append(l.last[:0], l.last[1:]...)
	}
	if l.size+len(text) > stderrQueue {
		l.dropped++
		return
	}
	l.queue = append(l.queue, text)
	l.size += len(text)
	l.wake.Signal()
}

// write logs until everything that was read is logged.
func (l *stderrLog) write() {
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && l.dropped == 0 && !l.ended {
			l.wake.Wait()
		}
		queue, dropped := l.queue, l.dropped
		l.queue, l.size, l.dropped = nil, 0, 0
		l.mu.Unlock()
		if len(queue) == 0 && dropped == 0 {
			return
		}
		for _, text := range queue {
			if e := l.log.Info(); e.Enabled() {
				e.Msg(l.scrub(printable(text)))
			}
		}
		if dropped > 0 {
			l.log.Warn().Int("lines", dropped).Msg("the server wrote faster than it could be logged; lines were dropped")
		}
	}
}

// finish returns when everything was read, or at the time limit.
func (l *stderrLog) finish(limit time.Time) {
	l.file.SetReadDeadline(limit)
	<-l.drained
}

// lastWords returns the last lines, quoted, or "".
func (l *stderrLog) lastWords() string {
	l.mu.Lock()
	text := strings.Join(l.last, "\n")
	l.mu.Unlock()
	if text == "" {
		return ""
	}
	text = l.scrub(printable(text))
	if len(text) > lastSize {
		text = "..." + strings.ToValidUTF8(text[len(text)-lastSize:], "")
	}
	return `"` + strings.ReplaceAll(text, "\n", " / ") + `"`
}

// quotable returns the start of what a server sent in a form for logs and errors: at
// most max bytes, without secrets and without what would control a terminal.
func quotable(b []byte, max int, scrub func(string) string) string {
	s := string(b[:min(len(b), 8*max)])
	if len(s) < len(b) {
		s = uncut(s)
	}
	return visible.Cut(strings.TrimSpace(scrub(printable(s))), max)
}

// uncut takes the last word away from text that was cut somewhere: it may be half a
// secret, which nothing would recognise.
func uncut(s string) string {
	if i := strings.LastIndexAny(s, " \t\n\",;"); i >= 0 {
		return s[:i]
	}
	return ""
}

// ansi matches the sequences with which programs colour their output.
var ansi = onuse.Regexp("\x1b\\[[0-9;?]*[ -/]*[@-~]")

// printable takes colours and control characters away, but for tabs and line ends, and
// replaces invalid UTF-8.
func printable(s string) string {
	if strings.IndexByte(s, 0x1b) >= 0 {
		s = ansi().ReplaceAllString(s, "")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}
