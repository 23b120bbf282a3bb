package upstream

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// lookPath finds the executable of a command in the PATH of the environment that the
// child will have, not in that of the firewall. A name with a separator is a path,
// relative to dir. Entries of PATH that are relative are passed over, the current
// directory first of all: whoever can write there could choose what is run.
func lookPath(command, dir string, env []string) (string, error) {
	suffixes := []string{""}
	if runtime.GOOS == "windows" {
		suffixes = windowsSuffixes(command, getenv(env, "PATHEXT"))
	}
	if strings.ContainsRune(command, '/') || strings.ContainsRune(command, filepath.Separator) || filepath.VolumeName(command) != "" {
		path := command
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return firstExecutable(path, suffixes)
	}
	path := getenv(env, "PATH")
	if path == "" {
		return "", fmt.Errorf("%q was not found: the server's environment has no PATH; give the full path as command, or set env.PATH", command)
	}
	var denied error
	for _, entry := range filepath.SplitList(path) {
		if !filepath.IsAbs(entry) {
			continue
		}
		found, err := firstExecutable(filepath.Join(entry, command), suffixes)
		if err == nil {
			return found, nil
		}
		if denied == nil && !os.IsNotExist(err) {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", fmt.Errorf("%q was not found in the PATH of the server's environment (%s); give the full path as command, or set env.PATH", command, path)
}

// firstExecutable returns the first of path with each of the suffixes that can be run.
func firstExecutable(path string, suffixes []string) (string, error) {
	var first error
	for _, s := range suffixes {
		err := executable(path + s)
		if err == nil {
			return path + s, nil
		}
		if first == nil || os.IsNotExist(first) {
			first = err
		}
	}
	return "", first
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return &fs.PathError{Op: "exec", Path: path, Err: fmt.Errorf("is a directory")}
	case runtime.GOOS != "windows" && info.Mode()&0o111 == 0:
		return &fs.PathError{Op: "exec", Path: path, Err: fs.ErrPermission}
	}
	return nil
}

// windowsSuffixes returns what may follow a command's name, from PATHEXT.
func windowsSuffixes(command, pathext string) []string {
	if pathext == "" {
		pathext = ".COM;.EXE;.BAT;.CMD"
	}
	var suffixes []string
	for _, s := range strings.Split(strings.ToLower(pathext), ";") {
		if s == "" {
			continue
		}
		if s[0] != '.' {
			s = "." + s
		}
		if strings.HasSuffix(strings.ToLower(command), s) {
			return []string{""}
		}
		suffixes = append(suffixes, s)
	}
	return suffixes
}

// getenv returns the last value of a variable, as the child will see it.
func getenv(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		k, v, _ := strings.Cut(env[i], "=")
		if k == name || runtime.GOOS == "windows" && strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}
