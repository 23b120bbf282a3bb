// Package audit keeps the record of what the firewall did: one JSON object per
// line, appended to one file, for every decision and every event of a session's
// life.
//
// A record counts only once it was handed to the operating system, because
// nothing is relayed without it:
//
//	log, err := audit.Open(audit.Options{Path: cfg.Audit.File})
//	...
//	id := log.NewID()
//	if err := log.Write(&audit.Record{ID: id, Event: audit.Intent, ...}); err != nil {
//		return refuse(err) // no record, no call
//	}
//
// The package writes what it is given. Secrets must have been removed before.
package audit

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The values of Record.Event.
const (
	Intent    = "intent"    // written before a call is sent to its server
	Outcome   = "outcome"   // written before the answer is relayed
	Refusal   = "refusal"   // the call was not sent, or its answer was withheld
	Question  = "question"  // a server asked the client for something, and was let or not
	Lifecycle = "lifecycle" // a session or a server started, ended or changed
)

// DefaultMaxArguments is how many bytes of a call's arguments are kept unless
// [Options] say otherwise.
const DefaultMaxArguments = 4096

// Options says where the records go and how much of each is kept.
type Options struct {
	Path         string           // the file; its folder is made when missing, for the user alone
	MaxArguments int              // bytes of arguments kept; 0 means DefaultMaxArguments
	Now          func() time.Time // nil means time.Now
}

// Log is an open audit file. All methods may be called concurrently, and
// several processes may append to the same file.
type Log struct {
	path         string
	maxArguments int
	now          func() time.Time
	prefix       string
	counter      atomic.Uint64

	mu   sync.Mutex
	out  io.WriteCloser // nil after Close
	torn bool           // the file ends in the middle of a line
}

// Open opens the file of o for appending and makes it, readable and writable by
// the user alone, when it is missing. It refuses anything but a regular file,
// and a file that other users may write, since such a file proves nothing. On
// Windows, where the permissions of the user's folders say who may write, only
// the former is checked.
func Open(o Options) (*Log, error) {
	if o.Path == "" {
		return nil, errors.New("opening the audit file: no path is given; set audit.file in the configuration, since nothing is relayed without a record")
	}
	l := newLog(o)
	f, torn, err := openFile(o.Path)
	if err != nil {
		return nil, err
	}
	l.out, l.torn = f, torn
	return l, nil
}

// Discard returns a log that keeps nothing. It is for tests and for commands
// that only look and never call.
func Discard() *Log {
	l := newLog(Options{})
	l.out = discard{}
	return l
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

func newLog(o Options) *Log {
	l := &Log{path: o.Path, maxArguments: o.MaxArguments, now: o.Now, prefix: newPrefix()}
	if l.maxArguments <= 0 {
		l.maxArguments = DefaultMaxArguments
	}
	if l.now == nil {
		l.now = time.Now
	}
	return l
}

// NewID returns a short id for a record, different from every other one of this
// process and, by 50 random bits, of every other process.
func (l *Log) NewID() string {
	var buf [32]byte
	b := append(buf[:0], l.prefix...)
	b = strconv.AppendUint(b, l.counter.Add(1), 36)
	return string(b)
}

func newPrefix() string {
	var b [7]byte
	rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))[:10] + "-"
}

// Reopen closes the file and opens the path anew, for when the file was rotated
// away. If that fails the old file stays in use and the error is returned.
func (l *Log) Reopen() error {
	if l.path == "" {
		return nil
	}
	f, torn, err := openFile(l.path)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		f.Close()
		return fmt.Errorf("reopening the audit file %s: it was closed", l.path)
	}
	old := l.out
	l.out, l.torn = f, torn
	if err := old.Close(); err != nil {
		return fmt.Errorf("closing the rotated audit file %s: %w", l.path, err)
	}
	return nil
}

// Close waits for the write under way and closes the file. Later writes fail.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		return nil
	}
	out := l.out
	l.out = nil
	if err := out.Close(); err != nil {
		return fmt.Errorf("closing the audit file %s: %w", l.path, err)
	}
	return nil
}

// openFile also says whether the file ends in the middle of a line, as it does
// after a crash or on a disk that was full.
func openFile(path string) (f *os.File, torn bool, err error) {
	defer func() {
		if err != nil && f != nil {
			f.Close()
		}
	}()
	fail := func(err error) (*os.File, bool, error) {
		return f, false, fmt.Errorf("opening the audit file %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(fmt.Errorf("%w; make its folder, or name another file under audit.file", err))
	}
	// Looked at before it is opened, because opening a named pipe waits for its reader.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fail(errors.New("it is not a regular file; name another one under audit.file"))
	}
	// Opened for reading too, to see how it ends.
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fail(fmt.Errorf("%w; make it writable for this user, or name another file under audit.file", err))
	}
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o022 != 0 {
		return fail(fmt.Errorf("other users can write it (mode %04o), so its records would prove nothing; run: chmod go-w %s", mode, path))
	}
	if size := info.Size(); size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return fail(err)
		}
		torn = last[0] != '\n'
	}
	return f, torn, nil
}
