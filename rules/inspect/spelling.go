package inspect

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

const onWindows = runtime.GOOS == "windows"

// fromFileURL gives the path in a file URL that has no host, with slashes.
func fromFileURL(s string) (string, error) {
	path, ok := strings.CutPrefix(s[5:], "//")
	if !ok || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, `?#\`) {
		return "", errors.New("it begins with file: but is not file:/// and a plain path; write the path alone")
	}
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if c, ok = escape(path[i:]); !ok || strings.IndexByte(`/\.%~:`, c) >= 0 {
				return "", errors.New("it is a file URL with broken or misleading percent-encoding; write the path alone")
			}
			i += 2
		}
		b = append(b, c)
	}
	if onWindows {
		b = b[1:] // "/C:/..."
	}
	_, err := checkText(string(b), maxPath)
	return string(b), err
}

// maxNames bounds the times that the file system is asked.
const maxNames = 256

// checkSpelling refuses spellings that mean one thing here and another on some
// other system or in some other program.
func checkSpelling(s string) error {
	ascii := isASCII(s)
	plain := s
	if !ascii {
		plain = compatible(s)
	}
	if plain == "" || strings.IndexByte("~$% ", plain[0]) >= 0 {
		return errors.New(`it begins with a space, or with "~", "$" or "%", which some programs replace; write the whole path`)
	}
	if onWindows {
		plain = strings.ReplaceAll(plain, `\`, "/")
		s = strings.ReplaceAll(s, `\`, "/")
		if len(s) >= 2 && s[1] == ':' && alphanumeric(s[0]) {
			if len(s) < 3 || s[2] != '/' {
				return errors.New("it begins with a drive but is not absolute")
			}
			s, plain = s[2:], plain[2:]
		} else if s[0] == '/' {
			return errors.New("it is absolute but names no drive")
		}
	}
	if strings.Count(plain, "/") > maxNames {
		return fmt.Errorf("it has more than %d names", maxNames)
	}
	if strings.HasPrefix(s, "//") {
		return errors.New("it begins with two slashes, which name another machine on some systems")
	}
	if strings.ContainsAny(plain, `\:*?"<>|`) {
		return errors.New(`it contains a backslash, a colon, a wildcard, a quote or one of <>|, which some systems do not take for part of a name`)
	}
	if !ascii && (strings.Count(plain, "/") != strings.Count(s, "/") || strings.ContainsFunc(s, slashLike)) {
		return errors.New("it contains a character that some systems convert to a separator")
	}
	for i := range len(s) {
		if _, ok := escape(s[i:]); ok {
			return errors.New("it contains percent-encoding; write the characters themselves")
		}
	}
	for rest, more := s, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if err := checkFileName(name); err != nil {
			return err
		}
	}
	return nil
}

// slashLike tells of characters that Windows converts to a slash or backslash
// in some code page; those with a compatibility form are not among them.
func slashLike(r rune) bool {
	switch r {
	case 0x2044, 0x2215, 0x2216, 0x29F5, 0x29F8, 0x00A5, 0x20A9:
		return true
	}
	return false
}

func checkFileName(s string) error {
	if s == "" || s == "." || s == ".." {
		return nil
	}
	if !isASCII(s) {
		if plain := compatible(s); plain == "." || plain == ".." {
			return errors.New("a name is a form of dots")
		}
	}
	last, _ := utf8.DecodeLastRuneInString(s)
	if last == '.' || unicode.IsSpace(last) {
		return errors.New("a name ends in a dot or space, which Windows drops")
	}
	stem, ext, _ := strings.Cut(s, ".")
	if device(strings.TrimRight(stem, " ")) {
		return errors.New("a name is that of a device on Windows")
	}
	if i := strings.LastIndexByte(stem, '~'); i > 0 && len(stem) <= 8 && len(ext) <= 3 && isDigits(stem[i+1:]) {
		return errors.New("a name has the form of a short name of Windows, which stands for another name")
	}
	return nil
}

// device tells of the names in "Naming Files, Paths, and Namespaces" of the
// Windows documentation.
func device(stem string) bool {
	if len(stem) < 3 || len(stem) > 7 {
		return false
	}
	stem = strings.ToUpper(stem)
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	if number, ok := strings.CutPrefix(stem, "COM"); ok {
		return portNumber(number)
	}
	number, ok := strings.CutPrefix(stem, "LPT")
	return ok && portNumber(number)
}

func portNumber(s string) bool {
	return len(s) == 1 && isDigits(s) || s == "¹" || s == "²" || s == "³"
}
