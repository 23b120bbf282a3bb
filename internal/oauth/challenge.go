package oauth

import "strings"

// challenge is what a server says with a 401 or 403 of the scheme Bearer: RFC 6750,
// section 3, and RFC 9728, section 5.1.
type challenge struct {
	err      string // such as invalid_token
	scope    string
	metadata string // resource_metadata
}

const (
	maxChallenges = 16      // lines of WWW-Authenticate that are looked at
	maxChallenge  = 8 << 10 // bytes of one
)

// parseChallenges returns the first challenge of the scheme Bearer that says anything,
// from the lines of WWW-Authenticate: RFC 9110, section 11.6.1. A line can hold several
// challenges, whose parameters are separated by commas as well. What does not follow the
// grammar ends the line, and a challenge that says something twice says nothing.
func parseChallenges(lines []string) challenge {
	for _, line := range lines[:min(len(lines), maxChallenges)] {
		if len(line) > maxChallenge {
			continue
		}
		if c, ok := parseChallenge(line); ok {
			return c
		}
	}
	return challenge{}
}

func parseChallenge(line string) (found challenge, ok bool) {
	p := params{rest: line}
	var scheme string
	var said map[string]string
	done := func() bool {
		if !strings.EqualFold(scheme, "bearer") || len(said) == 0 {
			return false
		}
		found = challenge{err: said["error"], scope: said["scope"], metadata: said["resource_metadata"]}
		return found != challenge{}
	}
	for {
		p.skip(", \t")
		name := p.token()
		if name == "" {
			return found, done()
		}
		blank := p.skip(" \t")
		if strings.HasPrefix(p.rest, "=") && !(blank && scheme == "") {
			p.rest = p.rest[1:]
			p.skip(" \t")
			value, good := p.value()
			if !good || scheme == "" {
				return found, done()
			}
			name = strings.ToLower(name)
			if _, twice := said[name]; twice {
				return challenge{}, false
			}
			said[name] = value
			continue
		}
		// A word that no = follows begins the next challenge.
		if done() {
			return found, true
		}
		scheme, said = name, map[string]string{}
		p.token68()
	}
}

// params reads the pieces of a header.
type params struct{ rest string }

// skip passes over the characters of set, and reports whether there were any.
func (p *params) skip(set string) bool {
	before := len(p.rest)
	p.rest = strings.TrimLeft(p.rest, set)
	return len(p.rest) < before
}

// token reads a token of RFC 9110, section 5.6.2.
func (p *params) token() string {
	n := 0
	for n < len(p.rest) && isTokenChar(p.rest[n]) {
		n++
	}
	t := p.rest[:n]
	p.rest = p.rest[n:]
	return t
}

func isTokenChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// token68 passes over the data of a scheme such as Negotiate, which has no name.
func (p *params) token68() {
	n := 0
	for n < len(p.rest) && (isTokenChar(p.rest[n]) || p.rest[n] == '/') {
		n++
	}
	end := n
	for end < len(p.rest) && p.rest[end] == '=' {
		end++
	}
	after := strings.TrimLeft(p.rest[end:], " \t")
	if n > 0 && (after == "" || after[0] == ',') {
		p.rest = p.rest[end:]
	}
}

// value reads a token or a quoted string.
func (p *params) value() (string, bool) {
	if !strings.HasPrefix(p.rest, `"`) {
		t := p.token()
		return t, t != ""
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case '\\':
			if i++; i == len(p.rest) {
				return "", false
			}
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
