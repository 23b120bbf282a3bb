package vault

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The sources of values, as references name them.
const (
	SourceVault = "vault"
	SourceEnv   = "env"
	SourceFile  = "file"
)

var sources = []string{SourceVault, SourceEnv, SourceFile}

// Ref is a reference to a value.
type Ref struct {
	Source string // SourceVault, SourceEnv or SourceFile
	Path   string // the path in Vault with its mount, the variable's name, or the file's path
	Field  string // in Vault, the field of the secret; otherwise ""
	Text   string // as written: ${vault:secret/github#token}
	Offset int    // in bytes, of Text in the string that was parsed
}

// Name returns the reference without its braces, such as
// vault:secret/github#token. It says where a value is from, and nothing of it.
func (r *Ref) Name() string {
	return strings.TrimSuffix(strings.TrimPrefix(r.Text, "${"), "}")
}

// Part is a piece of a parsed string: either literal text or a reference.
type Part struct {
	Text string // literal text; "" for a reference
	Ref  *Ref   // nil for literal text
}

// Problem is an error in how a reference is written.
type Problem struct {
	Offset     int    // in bytes, in the string that was parsed
	Message    string // what is wrong
	Suggestion string // what was probably meant, or ""
}

func (p *Problem) Error() string {
	if p.Suggestion == "" {
		return p.Message
	}
	return p.Message + "; did you mean " + p.Suggestion + "?"
}

// Parse splits s into literal text and references. The grammar of a reference is
//
//	${vault:MOUNT/PATH#FIELD}    ${env:NAME}    ${file:PATH}
//
// and everything else is literal, a dollar sign too, unless a brace follows it:
// ${ that begins no valid reference is an error, always a *Problem. The
// characters ${ themselves are written $${.
func Parse(s string) ([]Part, error) {
	var parts []Part
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, Part{Text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(s); {
		switch rest := s[i:]; {
		case strings.HasPrefix(rest, "$${"):
			text.WriteString("${")
			i += len("$${")
		case strings.HasPrefix(rest, "${"):
			end := closing(rest)
			if end < 0 {
				return nil, &Problem{
					Offset:     i,
					Message:    "${ begins a reference that no } ends",
					Suggestion: "$${, which stands for the characters ${",
				}
			}
			ref, err := parseRef(rest[:end+1], i)
			if err != nil {
				return nil, err
			}
			flush()
			parts = append(parts, Part{Ref: ref})
			i += end + 1
		default:
			text.WriteByte(s[i])
			i++
		}
	}
	flush()
	return parts, nil
}

// closing returns the index of the brace that closes the first one of s, or -1.
func closing(s string) int {
	open := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// parseRef parses text, which is a whole reference with its braces.
func parseRef(text string, offset int) (*Ref, error) {
	bad := func(suggestion, format string, args ...any) error {
		return &Problem{Offset: offset, Message: fmt.Sprintf(format, args...), Suggestion: suggestion}
	}
	body := text[2 : len(text)-1]
	if !utf8.ValidString(body) || strings.ContainsFunc(body, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return nil, bad("", "the reference %q holds a control character or is not UTF-8", text)
	}
	if strings.ContainsAny(body, "{}") {
		return nil, bad("", "the reference %q holds a brace", text)
	}
	source, rest, ok := strings.Cut(body, ":")
	if !ok {
		if isEnvName(body) {
			return nil, bad("${env:"+body+"}", "the reference %s does not name its source", text)
		}
		return nil, bad("", "the reference %q does not name its source, which is one of %s", text, strings.Join(sources, ", "))
	}
	ref := &Ref{Source: source, Path: rest, Text: text, Offset: offset}
	switch source {
	case SourceVault:
		path, field, ok := strings.Cut(rest, "#")
		switch {
		case !ok:
			return nil, bad("${vault:"+rest+"#FIELD}", "the reference %s does not name a field", text)
		case field == "" || strings.Contains(field, "#"):
			return nil, bad("", "the reference %s must have one # and the name of a field behind it", text)
		}
		if problem := checkVaultPath(path); problem != "" {
			return nil, bad("", "the path in the reference %s %s; it is the mount, a slash and the secret's path, as in secret/github", text, problem)
		}
		ref.Path, ref.Field = path, field
	case SourceEnv:
		if !isEnvName(rest) {
			return nil, bad("", "%q in the reference %q is not the name of an environment variable", rest, text)
		}
	case SourceFile:
		if rest == "" || rest == "~" || strings.HasSuffix(rest, "/") {
			return nil, bad("", "the reference %s does not name a file", text)
		}
	default:
		suggestion := ""
		if near := nearest(strings.ToLower(source), sources); near != "" {
			suggestion = "${" + near + ":" + rest + "}"
		}
		return nil, bad(suggestion, "the reference %q names the unknown source %q; known are %s", text, source, strings.Join(sources, ", "))
	}
	return ref, nil
}

// checkVaultPath returns what is wrong with a path, or "". Vault's client would
// clean a path with dots or empty segments into another one.
func checkVaultPath(path string) string {
	segments := strings.Split(path, "/")
	if len(segments) < 2 {
		return "has no slash"
	}
	for _, s := range segments {
		switch {
		case s == "":
			return "has an empty segment"
		case s == "." || s == "..":
			return "has a segment of dots only"
		case strings.TrimSpace(s) != s:
			return "has white space around a segment"
		}
	}
	return ""
}

// isEnvName reports whether s is a name as POSIX has it (XBD 8.1), in which also
// lower-case letters are usual.
func isEnvName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// nearest returns the one of names that is most like s, or "" if none is like it.
func nearest(s string, names []string) string {
	best, least := "", max(1, len(s)/3)+1
	for _, name := range names {
		if d := distance(s, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance returns the number of bytes to insert, delete, replace, or swap with
// the next one, that turn a into b.
func distance(a, b string) int {
	var last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], last[j-1]+1)
			}
		}
		last, row = row, next
	}
	return row[len(b)]
}
