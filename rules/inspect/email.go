package inspect

import (
	"errors"
	"fmt"
	"strings"
)

// Email is one mailbox.
type Email struct {
	Address string `expr:"address"` // local@host
	Local   string `expr:"local"`   // in lower case; a "+tag" is left in place
	Host    string `expr:"host"`    // as in [URL]
	Domain  string `expr:"domain"`  // as in [URL]
	Name    string `expr:"name"`    // the display name, without quotes; whoever writes it chooses it

	// In tells whether the host is one of the given names or below one, as in [URL].
	In func(hosts ...any) (bool, error) `expr:"in"`
}

// ParseEmail reads exactly one address, with or without a display name:
// jane@example.com, <jane@example.com>, "Doe, Jane" <jane@example.com>.
func ParseEmail(s string) (*Email, error) {
	list, err := ParseEmails(s)
	if err != nil {
		return nil, err
	}
	if len(list) > 1 {
		return nil, errors.New("not one e-mail address: there are several")
	}
	return &list[0], nil
}

// maxAddresses is more than mail servers take in one message (RFC 5321 section
// 4.5.3.1.8 asks for 100).
const maxAddresses = 1000

// ParseEmails reads up to 1000 addresses with commas between them, in up to 64
// KiB. It reads a part of RFC 5322: no groups, comments, routes, quoted local
// parts, address literals or encoded words, and nothing that looks like an
// address in a display name, because mail programs read these differently and
// some send to what stands there. Local parts are ASCII and have no characters
// by which old servers forward to another host (user%other@host, other!user).
func ParseEmails(s string) ([]Email, error) {
	list, err := parseEmails(s)
	if err != nil {
		return nil, fmt.Errorf("not e-mail addresses that everybody reads alike: %w", err)
	}
	return list, nil
}

func parseEmails(s string) ([]Email, error) {
	if _, err := checkText(s, maxEmails); err != nil {
		return nil, err
	}
	if strings.Contains(s, `\`) || strings.Contains(s, "=?") {
		return nil, errors.New("it contains a backslash or an encoded word")
	}
	var list []Email
	for rest, more := s, true; more; {
		if len(list) == maxAddresses {
			return nil, fmt.Errorf("there are more than %d", maxAddresses)
		}
		var one string
		var err error
		if one, rest, more, err = cutAddress(rest); err != nil {
			return nil, err
		}
		e, err := parseMailbox(strings.Trim(one, " "))
		if err != nil {
			return nil, fmt.Errorf("address %d: %w", len(list)+1, err)
		}
		list = append(list, e)
	}
	return list, nil
}

// cutAddress gives what stands before the first comma outside of quotes.
func cutAddress(s string) (one, rest string, more bool, err error) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return s[:i], s[i+1:], true, nil
		}
	}
	if quoted {
		return "", "", false, errors.New("a quote is not closed")
	}
	return s, "", false, nil
}

func parseMailbox(s string) (Email, error) {
	name, addr := "", s
	if before, after, ok := strings.Cut(s, "<"); ok {
		if !strings.HasSuffix(after, ">") {
			return Email{}, errors.New(`"<" is not closed by a ">" at the end`)
		}
		addr = after[:len(after)-1]
		var err error
		if name, err = displayName(strings.TrimRight(before, " ")); err != nil {
			return Email{}, err
		}
	}
	local, hostname, ok := strings.Cut(addr, "@")
	if !ok {
		return Email{}, errors.New(`it has no "@"`)
	}
	if err := checkLocal(local); err != nil {
		return Email{}, err
	}
	if strings.HasSuffix(hostname, ".") {
		return Email{}, errors.New("a dot ends it")
	}
	h, err := parseHost(hostname)
	if err != nil {
		return Email{}, fmt.Errorf("the host: %w", err)
	}
	if h.ip != nil {
		return Email{}, errors.New("the host is an IP address")
	}
	local, _ = lower(local)
	if len(local)+1+len(h.name) > 254 { // RFC 5321 section 4.5.3.1.3, less the angle brackets
		return Email{}, errors.New("it is longer than 254 characters")
	}
	e := Email{Address: local + "@" + h.name, Local: local, Host: h.name, Domain: h.domain, Name: name}
	e.In = func(hosts ...any) (bool, error) {
		found, err := h.in(hosts)
		if err != nil {
			return false, fmt.Errorf("email in: %w", err)
		}
		return found, nil
	}
	return e, nil
}

// displayName reads a quoted string or words.
func displayName(s string) (string, error) {
	special := `()<>[]:;@,"`
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s, special = s[1:len(s)-1], `<>@"`
	}
	if strings.ContainsAny(s, special) || !isASCII(s) && strings.ContainsAny(compatible(s), `<>@"`) {
		return "", errors.New("the display name contains characters that some readers take for an address; leave them out, or set it in quotes if it has commas or brackets")
	}
	return s, nil
}

// checkLocal takes a dot-atom (RFC 5322 section 3.2.3) of letters, digits and
// the punctuation that mailboxes have.
func checkLocal(s string) error {
	if s == "" || len(s) > 64 {
		return errors.New(`before the "@" stand no or more than 64 characters`)
	}
	if s[0] == '-' || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return errors.New(`before the "@", a hyphen or dot stands at the beginning, or a dot at the end or beside another`)
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && strings.IndexByte("._+-'=&~#$", c) < 0 {
			return errors.New(`before the "@" stands a character that addresses seldom have and that some readers take for something else`)
		}
	}
	return nil
}
