// Package sqlite keeps the firewall's state in one SQLite file, which several
// processes on one machine may share. The file must not lie on a network file
// system.
//
//	store := sqlite.New(sqlite.Options{Dir: cfg.State.Path})
//	defer store.Close()
//	verdict, err := store.Reserve(ctx, time.Now(), callID, charges)
//
// Nothing is opened before the first use, and a store that failed tries again
// on the next. What the file holds of a limit and its key is a hash under a
// key of the file's own.
//
// A sliding window is exact: every unit has its own moment. Only above 65,536
// moments in one window of one key are they rounded, up, by at most a 16,384th
// of the window, so that units count a little longer. If the clock is set back,
// units of the future are dated to the present, and never forgotten; a clock that is set
// forward cannot be told from time that passes.
package sqlite

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite" // registers itself as "sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// FileName is the file's name in Options.Dir. SQLite keeps two more beside it.
const FileName = "state.db"

// DefaultLockWait is how long a call waits for other processes.
const DefaultLockWait = 5 * time.Second

const (
	maxEvents       = 65_536           // moments kept of one counter
	quanta          = maxEvents / 4    // of a window, once there are more
	skew            = time.Minute      // of processes that read the clock and then waited for each other
	maxReservations = 100_000          // known by id; the oldest are forgotten first
	maxPages        = 256 << 20 / 4096 // of the file; a full one is an error
	sweepEvery      = 64               // reservations
)

// Options say where the state is.
type Options struct {
	Dir      string        // the folder; made when missing, for the user alone
	Volatile bool          // nothing is written: the state ends with the store, and Dir is not used
	LockWait time.Duration // 0 means DefaultLockWait

	maxPages, maxEvents int // smaller in tests
}

// Store is a [state.Store].
type Store struct {
	path string
	o    Options

	turn   chan struct{} // held by the one that uses what follows
	closed atomic.Bool
	file   os.FileInfo // the file that was opened first
	db     *database   // nil until used, and after a failure
	count  int         // reservations made, for the sweep
}

var _ state.Store = (*Store)(nil)

// New returns a store in a folder. It opens nothing yet.
func New(o Options) *Store {
	if o.LockWait <= 0 {
		o.LockWait = DefaultLockWait
	}
	if o.maxPages == 0 {
		o.maxPages = maxPages
	}
	if o.maxEvents == 0 {
		o.maxEvents = maxEvents
	}
	path := filepath.Join(o.Dir, FileName)
	if o.Volatile {
		path = inMemory
	}
	return &Store{path: path, o: o, turn: make(chan struct{}, 1)}
}

// Close closes the file. A call that is under way ends first.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	return s.drop()
}

func (s *Store) drop() error {
	if s.db == nil {
		return nil
	}
	err := s.db.close()
	s.db = nil
	return err
}

// errClosed is what every call of a closed store returns.
var errClosed = errors.New("the state was closed")

// transaction runs do while nobody else can write. What do wrote is kept only if it
// says so. An error that is not a wait for others closes the file, and the next
// transaction opens it anew.
func (s *Store) transaction(ctx context.Context, durable bool, do func(*database) (keep bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.LockWait)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for other calls to use the state: %w", ctx.Err())
	}
	if s.closed.Load() {
		return errClosed
	}
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 2*time.Millisecond) {
		err := s.attempt(durable, do)
		if err == nil {
			return nil
		}
		if !busy(err) {
			s.drop()
			return fmt.Errorf("the state file %s: %w%s", s.path, err, remedy(err))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the state file %s is locked by another process: %w", s.path, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (s *Store) attempt(durable bool, do func(*database) (bool, error)) (err error) {
	if s.db == nil {
		if s.db, err = s.open(); err != nil {
			return err
		}
	}
	// A file that was removed or put in place of the one in use would count anew.
	if !s.o.Volatile {
		if info, err := os.Lstat(s.path); err != nil || !os.SameFile(info, s.file) {
			return errReplaced
		}
	}
	db := s.db
	if err := db.begin(durable); err != nil {
		return err
	}
	keep, err := do(db)
	if err == nil && keep {
		if err = db.exec(db.commit); err == nil {
			return nil
		}
	}
	if err2 := db.exec(db.rollback); err == nil {
		err = err2
	}
	return err
}

var errReplaced = errors.New("it was removed or replaced while it was in use, and with it what is used of the limits; restart the firewall to go on with what is there now")

// busy reports an error that another process's lock causes.
func busy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && (e.Code()&0xff == lib.SQLITE_BUSY || e.Code()&0xff == lib.SQLITE_LOCKED)
}

// remedy says what a person can do.
func remedy(err error) string {
	var e *driver.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return "; it is damaged: restore it, or move it away, with what lies beside it, to count from zero"
	case lib.SQLITE_FULL:
		return fmt.Sprintf("; the disk is full, or the file has reached %d MiB", maxPages*4096>>20)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN:
		return "; make it and its folder writable for the user who runs the firewall"
	}
	return ""
}

// An id is a hash of 128 bits: of a reservation's id, or of a counter's limit, key and
// kind of window, each with its length, so that no two run into each other.
type id [16]byte

func (db *database) hash(domain byte, texts ...string) id {
	mac := hmac.New(sha256.New, db.salt)
	mac.Write([]byte{domain})
	for _, t := range texts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(t))))
		mac.Write([]byte(t))
	}
	return id(mac.Sum(nil)[:16])
}

func (db *database) counter(c *state.Charge) id {
	return db.hash('c', c.Limit, c.Key, c.Window.Kind())
}

// A database is the open file, on its only connection.
type database struct {
	pool *sql.DB
	conn *sql.Conn
	salt []byte
	full bool // PRAGMA synchronous is FULL

	statements []*sql.Stmt // all of the following

	immediate, commit, rollback                                  *sql.Stmt
	counterGet, counterPut, counterOld, counterDrop              *sql.Stmt
	usedAdd, usedTake, usedPrune, usedDrop, usedEmpty, usedMin   *sql.Stmt
	usedSum, usedWalk, usedRound, usedUneven, usedMove, usedLate *sql.Stmt
	heldGet, heldPut, heldDrop, heldSweep, heldBound             *sql.Stmt
}

// close closes the statements too: while one is left, SQLite keeps the
// connection open, and its locks (sqlite.org/c3ref/close.html).
func (db *database) close() error {
	var errs []error
	for _, s := range db.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, db.conn.Close(), db.pool.Close())...)
}

// Statements run to their end whatever the caller's context: each is short, and
// the one wait there is, for the lock, is in [Store.transaction].
func (db *database) exec(s *sql.Stmt, args ...any) error {
	_, err := s.ExecContext(context.Background(), args...)
	return err
}

func (db *database) changed(s *sql.Stmt, args ...any) (int64, error) {
	r, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// begin takes the lock for writing. In WAL mode a commit under FULL reaches the
// disk before it returns, with all before it; one under NORMAL survives the end
// of the process but perhaps not a power failure (sqlite.org/wal.html).
func (db *database) begin(durable bool) error {
	if durable != db.full {
		text := "PRAGMA synchronous = NORMAL"
		if durable {
			text = "PRAGMA synchronous = FULL"
		}
		// Not a prepared statement, since this pragma takes effect when it is prepared.
		if _, err := db.conn.ExecContext(context.Background(), text); err != nil {
			return err
		}
		db.full = durable
	}
	return db.exec(db.immediate)
}
