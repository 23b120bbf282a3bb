package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// version is kept as SQLite's user_version, and application as its application_id.
const (
	version     = 1
	application = 0x6d637066 // "mcpf"
)

// schema. A counter is what is used of one limit by one key: total is the sum
// of its rows in used, oldest and newest bound their times, and expires is when
// all of them are past. Times are in microseconds since 1970, amounts in millionths.
const schema = `
CREATE TABLE salt (value BLOB NOT NULL) STRICT;
CREATE TABLE counters (
	counter BLOB PRIMARY KEY, total INTEGER NOT NULL, events INTEGER NOT NULL,
	oldest INTEGER NOT NULL, newest INTEGER NOT NULL, expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX counters_expires ON counters (expires);
CREATE TABLE used (
	counter BLOB, at INTEGER, amount INTEGER NOT NULL, PRIMARY KEY (counter, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE held (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, made INTEGER NOT NULL, taken BLOB NOT NULL) STRICT;
`

// inMemory is what SQLite calls a database without a file.
const inMemory = ":memory:"

// open opens the file, and makes it when there is none.
func (s *Store) open() (*database, error) {
	if s.o.Volatile {
		return s.openVolatile()
	}
	if s.file == nil {
		if err := s.prepare(); err != nil {
			return nil, err
		}
	}
	info, err := os.Lstat(s.path)
	switch {
	case s.file != nil && (err != nil || !os.SameFile(info, s.file)):
		return nil, errReplaced
	case err != nil:
		return nil, err
	}
	if err := checkFile(info); err != nil {
		return nil, err
	}
	db, err := connect(s.path)
	if err != nil {
		return nil, err
	}
	if err := db.prepare("wal", s.o.maxPages); err != nil {
		db.close()
		return nil, err
	}
	s.file = info
	return db, nil
}

func (s *Store) openVolatile() (*database, error) {
	db, err := connect(inMemory)
	if err != nil {
		return nil, err
	}
	err = db.create()
	if err == nil {
		err = db.prepare("memory", s.o.maxPages)
	}
	if err != nil {
		db.close()
		return nil, err
	}
	return db, nil
}

// prepare makes what is missing. The file comes to be whole, with its schema:
// one that is empty was cut off, and is refused.
func (s *Store) prepare() error {
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := checkFolder(dir); err != nil {
		return err
	}
	if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp, err := os.CreateTemp(dir, FileName+".new-") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if err := temp.Close(); err != nil {
		return err
	}
	if err := create(temp.Name()); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace a file that another process just made.
	err = os.Link(temp.Name(), s.path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	// A file system without hard links. Of two first starts at one moment, the
	// one whose file is replaced refuses its calls (errReplaced).
	if _, err := os.Lstat(s.path); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(temp.Name(), s.path)
	}
	return nil
}

// create fills an empty file.
func create(path string) error {
	db, err := connect(path)
	if err != nil {
		return err
	}
	defer db.close()
	return db.create()
}

func (db *database) create() error {
	salt := make([]byte, 32)
	rand.Read(salt)
	for _, text := range []string{
		"PRAGMA page_size = 4096", "PRAGMA journal_mode = WAL", "BEGIN IMMEDIATE", schema,
		fmt.Sprintf("PRAGMA user_version = %d", version), fmt.Sprintf("PRAGMA application_id = %d", application),
	} {
		if _, err := db.conn.ExecContext(context.Background(), text); err != nil {
			return err
		}
	}
	if _, err := db.conn.ExecContext(context.Background(), "INSERT INTO salt VALUES (?)", salt); err != nil {
		return err
	}
	_, err := db.conn.ExecContext(context.Background(), "COMMIT")
	return err
}

// connect opens the one connection to a file that exists, or to none.
func connect(path string) (*database, error) {
	name := path
	if path != inMemory {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		slashed := filepath.ToSlash(abs)
		if !strings.HasPrefix(slashed, "/") { // C:/...
			slashed = "/" + slashed
		}
		name = (&url.URL{Scheme: "file", Path: slashed, RawQuery: "mode=rw"}).String()
	}
	pool, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	conn, err := pool.Conn(context.Background())
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &database{pool: pool, conn: conn}, nil
}

// settings are of the connection. The cache is small, because most of what is
// read is read once; nothing is mapped, because a file that shrinks would end
// the process; the log is cut back after a burst. fullfsync is what reaches the
// disk on macOS.
const settings = `
PRAGMA cache_size = -1024;
PRAGMA mmap_size = 0;
PRAGMA temp_store = MEMORY;
PRAGMA journal_size_limit = 4194304;
PRAGMA fullfsync = ON;
PRAGMA checkpoint_fullfsync = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
`

func (db *database) prepare(journal string, maxPages int) error {
	var app, user int
	var mode string
	for _, q := range []struct {
		text string
		into any
	}{{"PRAGMA application_id", &app}, {"PRAGMA user_version", &user}, {"PRAGMA journal_mode", &mode}} {
		if err := db.conn.QueryRowContext(context.Background(), q.text).Scan(q.into); err != nil {
			return err
		}
	}
	switch {
	case app != application:
		return errors.New("it is empty, or not a state file of the firewall; restore it, or move it away, with what lies beside it, to count from zero")
	case user != version:
		return fmt.Errorf("it has version %d, and this firewall knows version %d; use the firewall that wrote it, or move it away to count from zero", user, version)
	case mode != journal:
		return fmt.Errorf("its journal mode is %q, not %s; it was changed by another program", mode, journal)
	}
	if _, err := db.conn.ExecContext(context.Background(), settings+fmt.Sprintf("PRAGMA max_page_count = %d;PRAGMA synchronous = NORMAL;", maxPages)); err != nil {
		return err
	}
	if err := db.conn.QueryRowContext(context.Background(), "SELECT value FROM salt").Scan(&db.salt); err != nil {
		return fmt.Errorf("reading the key of its hashes: %w", err)
	}
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&db.immediate, "BEGIN IMMEDIATE"},
		{&db.commit, "COMMIT"},
		{&db.rollback, "ROLLBACK"},

		{&db.counterGet, "SELECT total, events, oldest, newest, expires FROM counters WHERE counter = ?"},
		{&db.counterPut, `INSERT INTO counters VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
			total = excluded.total, events = excluded.events, oldest = excluded.oldest, newest = excluded.newest, expires = excluded.expires`},
		{&db.counterOld, "SELECT counter FROM counters WHERE expires < ? ORDER BY expires LIMIT 64"},
		{&db.counterDrop, "DELETE FROM counters WHERE counter = ?"},

		{&db.usedAdd, "INSERT INTO used VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"},
		{&db.usedTake, "UPDATE used SET amount = amount - ?3 WHERE counter = ?1 AND at = ?2 AND amount >= ?3"},
		{&db.usedEmpty, "DELETE FROM used WHERE counter = ? AND at = ? AND amount = 0"},
		{&db.usedSum, "SELECT coalesce(sum(amount), 0), count(*), coalesce(min(at), 0), coalesce(max(at), 0) FROM used WHERE counter = ?"},
		{&db.usedMin, "SELECT coalesce(min(at), 0) FROM used WHERE counter = ?"},
		{&db.usedPrune, "DELETE FROM used WHERE counter = ? AND at <= ? RETURNING amount"},
		{&db.usedDrop, "DELETE FROM used WHERE counter = ?"},
		{&db.usedWalk, "SELECT at, amount FROM used WHERE counter = ? ORDER BY at"},
		{&db.usedRound, `INSERT INTO used SELECT counter, at - at % ?2 + ?2, sum(amount) FROM used
			WHERE counter = ?1 AND at % ?2 <> 0 AND at < ?3
			GROUP BY 1, 2 ON CONFLICT DO UPDATE SET amount = amount + excluded.amount`},
		{&db.usedUneven, "DELETE FROM used WHERE counter = ?1 AND at % ?2 <> 0 AND at < ?3"},
		{&db.usedMove, `INSERT INTO used SELECT counter, ?2, sum(amount) FROM used WHERE counter = ?1 AND at > ?2
			GROUP BY 1 ON CONFLICT DO UPDATE SET amount = amount + excluded.amount`},
		{&db.usedLate, "DELETE FROM used WHERE counter = ? AND at > ?"},

		{&db.heldGet, "SELECT taken FROM held WHERE id = ?"},
		{&db.heldPut, "INSERT OR REPLACE INTO held (id, made, taken) VALUES (?, ?, ?)"},
		{&db.heldDrop, "DELETE FROM held WHERE id = ?"},
		{&db.heldSweep, "DELETE FROM held WHERE seq IN (SELECT seq FROM (SELECT seq, made FROM held ORDER BY seq LIMIT 256) WHERE made < ?)"},
		{&db.heldBound, "DELETE FROM held WHERE seq <= (SELECT max(seq) - ? FROM held)"},
	} {
		var err error
		if *p.stmt, err = db.conn.PrepareContext(context.Background(), p.text); err != nil {
			return err
		}
		db.statements = append(db.statements, *p.stmt)
	}
	return nil
}
