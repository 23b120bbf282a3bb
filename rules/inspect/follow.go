package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A trail is where a path leads.
type trail struct {
	end     string // every link followed; names that do not exist stand as they are
	entry   string // the last name not followed
	links   int    // symbolic links on the way
	missing int    // names at the end that do not exist
}

// maxLinks is what Linux follows before it gives up (MAXSYMLINKS).
const maxLinks = 40

func rootOf(abs string) string {
	return filepath.VolumeName(abs) + string(filepath.Separator)
}

// follow goes from the folder from, which is absolute and has no links, along
// path, whose volume and leading separators mean nothing. Unlike
// [filepath.EvalSymlinks] it goes on where nothing exists, because a server may
// be about to create it, and follows a link whose target does not exist,
// because that is what would be created.
func follow(from, path string) (trail, error) {
	var t trail
	at := from
	pending := path[len(filepath.VolumeName(path)):]
	for pending != "" {
		var name string
		name, pending = cutName(pending)
		switch {
		case name == "" || name == ".":
			continue
		case name == "..":
			at = filepath.Dir(at)
			t.missing = max(t.missing-1, 0)
			continue
		}
		next := at + string(filepath.Separator) + name
		if os.IsPathSeparator(at[len(at)-1]) {
			next = at + name
		}
		if t.missing > 0 {
			at = next
			t.missing++
			continue
		}
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			at = next
			t.missing = 1
		case err != nil:
			return trail{}, fmt.Errorf("a part of it cannot be looked at: %w", cause(err))
		case info.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0:
			if t.links++; t.links > maxLinks {
				return trail{}, errors.New("it has more symbolic links than a system follows")
			}
			if at == "/proc" || strings.HasPrefix(at, "/proc/") {
				return trail{}, errors.New("it leads through a link below /proc, which leads elsewhere in another process")
			}
			target, err := os.Readlink(next)
			if err != nil {
				return trail{}, fmt.Errorf("a link cannot be read: %w", cause(err))
			}
			if t.entry == "" && strings.Trim(filepath.ToSlash(pending), "/.") == "" {
				t.entry = next
			}
			if filepath.IsAbs(target) {
				at = rootOf(target)
				target = target[len(filepath.VolumeName(target)):]
			} else if onWindows && (filepath.VolumeName(target) != "" || os.IsPathSeparator(target[0])) {
				return trail{}, errors.New("it has a link that begins at the current drive")
			}
			pending = target + string(filepath.Separator) + pending
		default:
			if !info.IsDir() && strings.Trim(filepath.ToSlash(pending), "/") != "" {
				return trail{}, errors.New("a name before the last is not a folder")
			}
			at = next
		}
	}
	t.end = at
	if t.entry == "" {
		t.entry = at
	}
	return t, nil
}

func cutName(s string) (name, rest string) {
	for i := range len(s) {
		if os.IsPathSeparator(s[i]) {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// cause is the reason in a file system's error, without the path.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return errors.New("unknown reason")
}
