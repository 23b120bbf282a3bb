package vault

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Vars fill the placeholders in references.
type Vars struct {
	// Subject is the user's name, for {user.subject}. One that would change the
	// meaning of the path that it becomes part of is refused.
	Subject string
}

const (
	subjectPlaceholder = "{" + subjectName + "}"
	subjectName        = "user.subject"

	// maxSubject bounds a user's name in bytes. OpenID Connect has at most 255
	// (Core 1.0, section 2); the names of certificates and keys are shorter.
	maxSubject = 255
)

// checkPlaceholders returns what is wrong with the braces in the body of a
// reference, or "", and the body as it was probably meant, or "".
func checkPlaceholders(body string) (wrong, suggestion string) {
	for rest := body; ; {
		before, after, ok := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return "holds a brace that nothing opens", ""
		}
		if !ok {
			return "", ""
		}
		if strings.HasSuffix(before, "$") {
			return "holds ${ within a reference; a placeholder has no dollar sign", strings.Replace(body, "${", "{", 1)
		}
		name, after, ok := strings.Cut(after, "}")
		if !ok || strings.Contains(name, "{") {
			return "holds a brace within braces", ""
		}
		if name != subjectName {
			bare := strings.ToLower(strings.Trim(name, "$. \t"))
			switch bare {
			case "user", "subject", "sub", "user.id", "user.name", "user.sub", "username", "principal":
				suggestion = subjectName
			default:
				suggestion = nearest(bare, []string{subjectName})
			}
			if suggestion != "" {
				suggestion = strings.Replace(body, "{"+name+"}", subjectPlaceholder, 1)
			}
			return fmt.Sprintf("holds the unknown placeholder %q; the only one is %s", "{"+name+"}", subjectPlaceholder), suggestion
		}
		rest = after
	}
}

// parseParams splits the part of a reference after the question mark. It returns
// what is wrong with it, or "".
func parseParams(query string) (params []Param, wrong string) {
	params = []Param{}
	if query == "" {
		return params, ""
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			return nil, fmt.Sprintf("gives the parameter %q no value", pair)
		case !isEnvName(strings.ReplaceAll(name, "-", "_")):
			return nil, fmt.Sprintf("has a parameter with the impossible name %q", name)
		}
		p := Param{Name: name, Value: value}
		if plain, err := p.expand("subject"); err != nil || !utf8.ValidString(plain) || strings.Contains(plain, "\x00") {
			return nil, fmt.Sprintf("has a parameter %q whose value has a %% that begins no %%XX, or is not text", name)
		}
		params = append(params, p)
	}
	return params, ""
}

// expand returns the value of the parameter. The subject is put in only after the
// rest was decoded, so that nothing in it is read as an escape.
func (p Param) expand(subject string) (string, error) {
	pieces := strings.Split(p.Value, subjectPlaceholder)
	for i, piece := range pieces {
		plain, err := url.PathUnescape(piece)
		if err != nil {
			return "", err
		}
		pieces[i] = plain
	}
	return strings.Join(pieces, subject), nil
}

// fill returns the path and parameters of a reference for a user. The order of the
// parameters' names does not matter to the result's key.
func (v Vars) fill(ref *Ref) (path string, params map[string][]string, err error) {
	if ref.PerUser() {
		if wrong := checkSubject(v.Subject, len(ref.Params) > 0); wrong != "" {
			// The name is an attacker's text, and is not quoted.
			return "", nil, fmt.Errorf("the user's name cannot stand for %s: it %s", subjectPlaceholder, wrong)
		}
	}
	path = ref.Path
	if ref.Source == SourceVault {
		path = strings.ReplaceAll(path, subjectPlaceholder, v.Subject)
		if wrong := checkVaultPath(path); wrong != "" {
			return "", nil, fmt.Errorf("with the user's name in it, the path %s", wrong)
		}
	}
	if ref.Params != nil {
		params = map[string][]string{}
	}
	for _, p := range ref.Params {
		value, err := p.expand(v.Subject)
		if err != nil {
			return "", nil, fmt.Errorf("the parameter %q cannot be decoded", p.Name)
		}
		params[p.Name] = append(params[p.Name], value)
	}
	return path, params, nil
}

// checkSubject returns why a user's name must not become part of a path, or "". A
// name is used exactly as it is or not at all: one that were cleaned or escaped
// could end up as another user's.
func checkSubject(s string, inParams bool) string {
	switch {
	case s == "":
		return "is not known"
	case len(s) > maxSubject:
		return fmt.Sprintf("is longer than %d bytes", maxSubject)
	case !utf8.ValidString(s):
		return "is not UTF-8"
	case strings.Trim(s, ".") == "":
		return "consists of dots"
	case strings.TrimSpace(s) != s:
		return "has white space around it"
	}
	for _, r := range s {
		switch {
		case strings.ContainsRune(`/\#?%*{}`, r):
			return fmt.Sprintf("holds %q, which would change the path", r)
		case r == ',' && inParams:
			return "holds a comma, which Vault reads as the end of a list's element"
		case !unicode.IsPrint(r):
			// Also every space but the ASCII one, and what is written but not seen.
			return "holds a control character or one that cannot be seen"
		}
	}
	return ""
}
