package vault

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mcpfirewall/mcpfirewall/internal/edit"
)

// The sources of values, as references name them.
const (
	SourceVault   = "vault"
	SourceEnv     = "env"
	SourceFile    = "file"
	SourceKeyring = "keyring"
)

var sources = []string{SourceVault, SourceEnv, SourceFile, SourceKeyring}

// Ref is a reference to a value.
type Ref struct {
	Source string  // SourceVault, SourceEnv, SourceFile or SourceKeyring
	Path   string  // the path in Vault with its mount, the variable's name, the file's path, or the keychain's SERVICE/ACCOUNT
	Field  string  // in Vault, the field of the secret; otherwise ""
	Params []Param // in Vault, what stands after ?; not nil, though it may be empty, where there is a ?
	Text   string  // as written: ${vault:secret/github#token}
	Offset int     // in bytes, of Text in the string that was parsed
}

// Param is a parameter of a reference to Vault.
type Param struct {
	Name  string
	Value string // as written, with %XX and placeholders
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

// PerUser reports whether the reference means another value for each user: its
// path or a parameter has the placeholder {user.subject}.
func (r *Ref) PerUser() bool {
	return strings.Contains(r.Path, subjectPlaceholder) && r.Source == SourceVault ||
		slices.ContainsFunc(r.Params, func(p Param) bool { return strings.Contains(p.Value, subjectPlaceholder) })
}

// Parse splits s into literal text and references. The grammar of a reference is
//
//	${vault:MOUNT/PATH#FIELD}     ${env:NAME}     ${keyring:SERVICE/ACCOUNT}
//	${vault:MOUNT/PATH?PARAMETERS#FIELD}          ${file:PATH}
//
// and everything else is literal, a dollar sign too, unless a brace follows it:
// ${ that begins no valid reference is an error, always a *Problem. The
// characters ${ themselves are written $${.
//
// PARAMETERS are NAME=VALUE pairs with & between them. In a value, %XX stands for
// a byte, as in a URL, but + for itself. The path, after the mount, and the values
// may hold the placeholder {user.subject}.
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
	if wrong, suggestion := checkPlaceholders(body); wrong != "" {
		if suggestion != "" {
			suggestion = "${" + suggestion + "}"
		}
		return nil, bad(suggestion, "the reference %q %s", text, wrong)
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
		path, query, params := strings.Cut(path, "?")
		if problem := checkVaultPath(path); problem != "" {
			return nil, bad("", "the path in the reference %s %s; it is the mount, a slash and the secret's path, as in secret/github", text, problem)
		}
		switch mount, _, _ := strings.Cut(path, "/"); {
		case strings.ContainsAny(mount, "{"):
			return nil, bad("", "the reference %s lets the user's name choose the mount; the mount is written out", text)
		case strings.ContainsAny(field, "{"):
			return nil, bad("", "the reference %s lets the user's name choose the field; put {user.subject} into the path", text)
		}
		ref.Path, ref.Field = path, field
		if params {
			var problem string
			if ref.Params, problem = parseParams(query); problem != "" {
				return nil, bad("", "the reference %s %s; parameters are written as ?NAME=VALUE&NAME=VALUE", text, problem)
			}
		}
	case SourceEnv:
		if !isEnvName(rest) {
			return nil, bad("", "%q in the reference %q is not the name of an environment variable", rest, text)
		}
	case SourceFile:
		if rest == "" || rest == "~" || strings.HasSuffix(rest, "/") {
			return nil, bad("", "the reference %s does not name a file", text)
		}
	case SourceKeyring:
		// The service may be a URL, the account is hardly ever one.
		service, account := splitKeyring(rest)
		if service == "" || account == "" {
			return nil, bad("", "the reference %s does not name a service and an account, as in ${keyring:github/alice}", text)
		}
	default:
		suggestion := ""
		if near := nearest(strings.ToLower(source), sources); near != "" {
			suggestion = "${" + near + ":" + rest + "}"
		}
		return nil, bad(suggestion, "the reference %q names the unknown source %q; known are %s", text, source, strings.Join(sources, ", "))
	}
	if source != SourceVault && strings.Contains(rest, "{") {
		return nil, bad("", "the reference %s holds a placeholder, which only references to Vault may", text)
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
		if d := edit.Distance(s, name, least); d < least {
			best, least = name, d
		}
	}
	return best
}
