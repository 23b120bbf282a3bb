package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/rs/zerolog"
)

// Record is one line of the audit file. Fields that are empty are left out of
// the line; the time is added by [Log.Write].
type Record struct {
	ID         string // from NewID; the records of one call share it
	Event      string // Intent, Outcome, Refusal, Question or Lifecycle
	Session    string
	Principal  string
	Client     string // the name that the client gives itself
	Server     string
	Method     string
	Capability string // the server's own name of the tool, resource or prompt
	Arguments  []byte // one valid JSON value without secrets; what exceeds Options.MaxArguments is cut
	Action     string // allow, ask or deny
	Rule       string // what made the decision
	Reason     string
	Duration   time.Duration
	BytesIn    int // size of the request from the client
	BytesOut   int // size of the answer to the client
	Error      string
	Message    string // what happened, in lifecycle records
}

// maxText bounds every text of a record, in bytes: an error of a hostile server
// must not fill the disk.
const maxText = 4096

// Write appends records to the file, in one write. It returns nil only when every line was
// handed to the operating system whole, and keeps no part of the records.
func (l *Log) Write(records ...*Record) error {
	ln := lines.Get().(*line)
	defer ln.free()
	for _, r := range records {
		ln.encode(r, l.now(), l.maxArguments)
	}
	if err := l.append(ln.buf); err != nil {
		return fmt.Errorf("writing to the audit file %s: %w; nothing is relayed without a record: free space on the disk or name another file under audit.file", l.path, err)
	}
	return nil
}

// append writes p, whole lines, in one write.
func (l *Log) append(p []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		return errors.New("it was closed")
	}
	if l.torn {
		p = append([]byte{'\n'}, p...)
	}
	n, err := l.out.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if n > 0 {
		l.torn = n < len(p)
	}
	return err
}

// line is one record on its way to the file. It is the writer of its own logger,
// since zerolog reports no error of a writer.
type line struct {
	buf    []byte
	logger zerolog.Logger

	second int64 // of the Unix time that stamp holds
	stamp  []byte
}

// stampAt returns now as RFC 3339 in UTC with milliseconds. Formatting a date costs
// more than the rest of a line, so all but the milliseconds is kept for a second.
func (ln *line) stampAt(now time.Time) []byte {
	if second := now.Unix(); second != ln.second || ln.stamp == nil {
		ln.second = second
		ln.stamp = now.UTC().AppendFormat(ln.stamp[:0], "2006-01-02T15:04:05.000Z")
	}
	ms := now.Nanosecond() / int(time.Millisecond)
	digits := ln.stamp[len(ln.stamp)-len("000Z"):]
	digits[0], digits[1], digits[2] = '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10)
	return ln.stamp
}

var lines = sync.Pool{New: func() any {
	ln := &line{buf: make([]byte, 0, 1024)}
	ln.logger = zerolog.New(ln)
	return ln
}}

func (ln *line) Write(p []byte) (int, error) {
	ln.buf = append(ln.buf, p...)
	return len(p), nil
}

func (ln *line) free() {
	ln.buf = ln.buf[:0]
	if cap(ln.buf) <= 64<<10 { // one huge record must not hold its memory for ever
		lines.Put(ln)
	}
}

func (ln *line) encode(r *Record, now time.Time, maxArguments int) {
	e := ln.logger.Log()
	e.Bytes("time", ln.stampAt(now))
	text(e, "id", r.ID)
	text(e, "event", r.Event)
	text(e, "session", r.Session)
	text(e, "principal", r.Principal)
	text(e, "client", r.Client)
	text(e, "server", r.Server)
	text(e, "method", r.Method)
	text(e, "capability", r.Capability)
	arguments(e, r.Arguments, maxArguments)
	text(e, "action", r.Action)
	text(e, "rule", r.Rule)
	text(e, "reason", r.Reason)
	if r.Duration > 0 {
		e.Float64("duration_ms", float64(r.Duration.Microseconds())/1000)
	}
	if r.BytesIn > 0 {
		e.Int("bytes_in", r.BytesIn)
	}
	if r.BytesOut > 0 {
		e.Int("bytes_out", r.BytesOut)
	}
	text(e, "error", r.Error)
	text(e, "message", r.Message)
	e.Send()
}

func text(e *zerolog.Event, key, s string) {
	switch {
	case s == "":
	case len(s) <= maxText:
		e.Str(key, s)
	default:
		e.Str(key, s[:runeStart(s, maxText-len(ellipsis))]+ellipsis)
	}
}

const ellipsis = "…"

// arguments adds raw as the JSON value that it is, on one line, since a line break would
// let an argument forge a record of its own. Of what is too long, each name and value keeps
// its place, and a digest tells what the whole was.
func arguments(e *zerolog.Event, raw []byte, most int) {
	if len(raw) == 0 {
		return
	}
	broken := bytes.IndexByte(raw, '\n') >= 0
	if len(raw) <= most && !broken {
		e.RawJSON("arguments", raw)
		return
	}
	value, whole := jsonrpc.Excerpt(raw, most)
	if broken && !jsontext.Value(value).IsValid(jsontext.AllowDuplicateNames(true)) {
		value, whole = nil, len(raw) <= most
	}
	if value == nil {
		value = quote(raw[:runeStart(raw, min(most, len(raw)))])
	}
	if e.RawJSON("arguments", value); !whole {
		digest := sha256.Sum256(raw)
		e.Bool("arguments_cut", true).Hex("arguments_sha256", digest[:])
	}
}

// quote returns s as a JSON string. It is what zerolog makes of s, but that looks at
// every byte, which was the larger part of a record with long arguments.
func quote(s []byte) []byte {
	q := append(make([]byte, 0, len(s)+len(s)/8+2), '"')
	for len(s) > 0 {
		n := plainPrefix(s)
		q = append(q, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		switch c := s[0]; {
		case c == '"' || c == '\\':
			q = append(q, '\\', c)
			s = s[1:]
		case c < ' ':
			q = append(q, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			s = s[1:]
		default:
			r, size := utf8.DecodeRune(s) // which is U+FFFD for what is no UTF-8
			q = utf8.AppendRune(q, r)
			s = s[size:]
		}
	}
	return append(q, '"')
}

const hexDigits = "0123456789abcdef"

// plainPrefix returns how many bytes at the start of s are ASCII that needs no escape.
func plainPrefix(s []byte) (n int) {
	const low, top = 0x0101010101010101, 0x8080808080808080
	for ; len(s)-n >= 8; n += 8 {
		v := binary.LittleEndian.Uint64(s[n:])
		quotes, slashes := v^low*'"', v^low*'\\'
		if (v|(v-low*' ')|(quotes-low)|(slashes-low))&top != 0 {
			break
		}
	}
	for n < len(s) && ' ' <= s[n] && s[n] < utf8.RuneSelf && s[n] != '"' && s[n] != '\\' {
		n++
	}
	return n
}

// runeStart returns the last place at or before n where a character of s begins.
func runeStart[T string | []byte](s T, n int) int {
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}
