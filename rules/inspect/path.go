package inspect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Path is a path, read as this machine's file system reads it. Separators in
// all fields are slashes.
type Path struct {
	Clean string `expr:"clean"` // absolute where the base is known; "." and ".." and double slashes taken out
	Abs   string `expr:"abs"`   // with all symbolic links followed, as far as the path exists; empty where the base is unknown

	// Of Abs, or of Clean where Abs is empty.
	Base string `expr:"base"` // the last name
	Dir  string `expr:"dir"`  // all before it
	Ext  string `expr:"ext"`  // in lower case, with the dot; empty for ".profile"

	Hidden     bool `expr:"hidden"`     // a name, of the path as given or of where it leads, begins with a dot; what lies above the base does not count
	HasSymlink bool `expr:"hasSymlink"` // a symbolic link is on the way; links in the base do not count
	Exists     bool `expr:"exists"`     // something is there now

	// Within tells whether the path is one of the given folders or below one.
	// Each argument is a string or a list of strings; "~/" is the home folder of
	// the firewall's user, a relative folder starts from the base. Links in the
	// folder's own path are followed. It is an error if the base is unknown, if
	// the path itself is a link and it and its target are not on the same side,
	// and if only upper case or another Unicode form keeps it out.
	Within func(roots ...any) (bool, error) `expr:"within"`

	base  string // with all links followed; empty where it is unknown
	entry string // as Abs, but the last name is not followed if it is a link
}

// ParsePath reads a path of up to 4 KiB and 256 names. A relative one starts from base,
// which is absolute, or empty where it is unknown. file:/// URLs without
// encoded delimiters are read as the path that they hold.
//
// The path may be used on another system or by a program that expands it
// first, so these are errors everywhere: a "~", "$" or "%NAME%" at the
// beginning, "%XX", backslashes (on Windows they are separators), drive
// letters and network shares (on Windows drive letters are taken), colons,
// the wildcards and quotes that Windows has, its device names (nul, com1.txt)
// and short names (PROGRA~1), names that end in a dot or space, characters
// that are converted to a separator, and ".." behind a link, which leads to one
// place in programs that shorten the text first and to another in those that do
// not. So are links below /proc, which lead elsewhere in another process.
//
// What a path leads to can change between this answer and its use; hard links
// and what is mounted elsewhere cannot be seen. Where that matters, contain the
// server.
func ParsePath(s, base string) (*Path, error) {
	p, err := parsePath(s, base)
	if err != nil {
		return nil, fmt.Errorf("not a path that everybody reads alike: %w", err)
	}
	return p, nil
}

func parsePath(s, base string) (*Path, error) {
	if _, err := checkText(s, maxPath); err != nil {
		return nil, err
	}
	if len(s) >= 5 && strings.EqualFold(s[:5], "file:") {
		var err error
		if s, err = fromFileURL(s); err != nil {
			return nil, err
		}
	}
	if err := checkSpelling(s); err != nil {
		return nil, err
	}
	p := &Path{}
	p.Within = p.within
	native := filepath.FromSlash(s)
	if !filepath.IsAbs(native) && base == "" {
		p.Clean = filepath.ToSlash(filepath.Clean(native))
		p.Hidden = anyHidden(p.Clean)
		p.name(p.Clean)
		return p, nil
	}
	if err := p.locate(native, base); err != nil {
		return nil, err
	}
	p.name(p.Abs)
	return p, nil
}

// locate follows the path name by name, as a kernel does, and again after
// ".." was taken out of the text, as many programs do, and compares.
func (p *Path) locate(native, base string) error {
	if base != "" {
		if !filepath.IsAbs(base) {
			return errors.New("the folder that relative paths start from is not absolute")
		}
		start, err := follow(rootOf(base), base)
		if err != nil {
			return fmt.Errorf("the folder that relative paths start from: %w", err)
		}
		p.base = start.end
	}
	from, clean := p.base, filepath.Join(base, native)
	if filepath.IsAbs(native) {
		from, clean = rootOf(native), filepath.Clean(native)
	}
	led, err := follow(from, native)
	if err != nil {
		return err
	}
	if strings.Contains(native, "..") {
		short, err := follow(rootOf(clean), clean)
		if err != nil {
			return err
		}
		if short.end != led.end || short.entry != led.entry {
			return errors.New(`it has ".." behind a symbolic link; write where it leads`)
		}
	}
	p.entry = led.entry
	p.Clean, p.Abs = filepath.ToSlash(clean), filepath.ToSlash(led.end)
	p.HasSymlink, p.Exists = led.links > 0, led.missing == 0
	for _, name := range []string{clean, led.end, led.entry} {
		rest, ok := below(name, p.base)
		if !ok && base != "" {
			rest, ok = below(name, filepath.Clean(base))
		}
		if !ok {
			rest = name
		}
		p.Hidden = p.Hidden || anyHidden(filepath.ToSlash(rest))
	}
	return nil
}

func (p *Path) name(s string) {
	p.Dir, p.Base = ".", s
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		p.Dir, p.Base = s[:max(i, 1)], s[i+1:]
	}
	if i := strings.LastIndexByte(p.Base, '.'); i > 0 {
		p.Ext = strings.ToLower(p.Base[i:])
	}
}

func (p *Path) within(roots ...any) (bool, error) {
	list, err := listed(roots)
	if err != nil {
		return false, fmt.Errorf("path within: %w", err)
	}
	if p.Abs == "" {
		return false, errors.New("path within: the path is relative, and where it starts from is not known")
	}
	end, entry := outside, outside
	for i, root := range list {
		folder, err := p.folder(root)
		if err != nil {
			return false, fmt.Errorf("path within: argument %d: %w", i+1, err)
		}
		abs := filepath.FromSlash(p.Abs)
		side := sideOf(abs, folder)
		end = max(end, side)
		if p.entry != abs {
			side = sideOf(p.entry, folder)
		}
		entry = max(entry, side)
	}
	switch {
	case end == unsure || entry == unsure:
		return false, errors.New("path within: the path differs from the folder only in upper case or in the Unicode form of its letters; write it as the folder is written")
	case end != entry:
		return false, errors.New("path within: the path is a symbolic link, and it and its target are not on the same side; write where it leads")
	}
	return end == inside, nil
}

// folder gives the location of a folder that a rule names.
func (p *Path) folder(root string) (string, error) {
	native := filepath.FromSlash(root)
	if native == "~" || strings.HasPrefix(native, "~"+string(filepath.Separator)) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", errors.New("the home folder is not known")
		}
		native = home + native[1:]
	}
	if root == "" || strings.ContainsRune(root, 0) || !filepath.IsAbs(native) && p.base == "" {
		return "", errors.New("the folder is empty, or relative and where it starts from is not known")
	}
	from := p.base
	if filepath.IsAbs(native) {
		from = rootOf(native)
	} else if filepath.VolumeName(native) != "" || os.IsPathSeparator(native[0]) {
		return "", errors.New("the folder names no drive, or no folder on it")
	}
	t, err := follow(from, native)
	if err != nil {
		return "", fmt.Errorf("the folder: %w", err)
	}
	return t.end, nil
}

// A side is where a path lies seen from a folder, the decisive ones last.
type side int

const (
	outside side = iota
	unsure
	inside
)

// sideOf compares text first, and then what the file system says is the same
// folder, whatever its name: by case, Unicode form, short name or mount.
func sideOf(path, folder string) side {
	if _, ok := below(path, folder); ok {
		return inside
	}
	if info, err := os.Lstat(folder); err == nil {
		for dir := path; ; dir = filepath.Dir(dir) {
			if other, err := os.Lstat(dir); err == nil && os.SameFile(info, other) {
				return inside
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	if _, ok := below(fold(path), fold(folder)); ok {
		return unsure
	}
	return outside
}

// below gives what remains of path, which is clean, under folder.
func below(path, folder string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, folder)
	if !ok || folder == "" {
		return "", false
	}
	if rest == "" || os.IsPathSeparator(folder[len(folder)-1]) {
		return rest, true
	}
	return rest, os.IsPathSeparator(rest[0])
}

func anyHidden(s string) bool {
	for name := range strings.SplitSeq(s, "/") {
		if strings.HasPrefix(name, ".") && name != "." && name != ".." {
			return true
		}
	}
	return false
}
