package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A change is reported once nothing has happened for settle, because editors
// write a file in several steps, but at the latest after patience.
const (
	settle   = 100 * time.Millisecond
	patience = 2 * time.Second
)

// Watch calls changed each time the file of c has become another one, as [Watch] does, and
// where it is used only because it was trusted, also when a file is trusted: then [Open]
// may find what it refused before. The calls may come at once.
func (c *Config) Watch(ctx context.Context, changed func()) error {
	if c.trusted {
		record, err := TrustFile("")
		if err != nil {
			return err
		}
		if err := Watch(ctx, record, changed); err != nil {
			return err
		}
	}
	return Watch(ctx, c.Path, changed)
}

// Watch calls changed, never twice at once, each time the content of the file
// has become another one, until the context ends. A file that is gone or cannot
// be read is no new content. Changes count from the moment when Watch returns:
// whoever loads the file after that misses none.
//
// The folder is watched rather than the file, because editors and Kubernetes
// replace it. Not every file system tells of changes (NFS does not); SIGHUP is
// there for those.
func Watch(ctx context.Context, path string, changed func()) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("watching the configuration: %w", err)
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching the configuration: %w", err)
	}
	if err := notify.Add(filepath.Dir(path)); err != nil {
		notify.Close()
		return fmt.Errorf("watching the folder of %s: %w", path, err)
	}
	w := &watcher{path: path, notify: notify}
	w.follow()
	w.last, _ = Digest(path)
	go w.run(ctx, changed)
	return nil
}

type watcher struct {
	path   string
	target string // what path links to; path itself if it is no link
	notify *fsnotify.Watcher
	last   string // the digest of the content that was reported last
}

// follow also watches the folder of the file that the path links to, which may
// be another one than before. It reports whether it is.
func (w *watcher) follow() (moved bool) {
	target, err := filepath.EvalSymlinks(w.path)
	if err != nil || target == w.target {
		return false
	}
	w.target = target
	if dir := filepath.Dir(target); dir != filepath.Dir(w.path) {
		_ = w.notify.Add(dir) // without it only a changed link is seen
	}
	return true
}

// concerns reports whether an event may mean that the content has changed. The
// folder may hold busy files, the audit log for one.
func (w *watcher) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	if e.Name == w.path || e.Name == w.target {
		w.follow()
		return true
	}
	// A link in the middle of the path may have been replaced.
	return w.target != w.path && w.follow()
}

func (w *watcher) run(ctx context.Context, changed func()) {
	defer w.notify.Close()
	var due <-chan time.Time // nil unless a change waits to be reported
	var since time.Time
	touch := func() {
		if due == nil {
			since = time.Now()
		}
		due = time.After(min(settle, max(0, patience-time.Since(since))))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-w.notify.Events:
			if !ok {
				return
			}
			if w.concerns(event) {
				touch()
			}
		case _, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			touch() // events were lost, perhaps the one that matters
		case <-due:
			due = nil
			if digest, err := Digest(w.path); err == nil && digest != w.last {
				w.last = digest
				changed()
			}
		}
	}
}

// Digest returns the digest of a file, as [Trust] records it. Nobody has looked
// at who can write the file.
func Digest(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	return digestOf(data), nil
}
