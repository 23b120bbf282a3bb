package proxy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/vault"
)

// CheckHeader says what is wrong with the value of a header, without it: text is what the
// configuration says, of which value was made with the secrets.
func CheckHeader(text, value string, secrets []vault.Secret) error {
	if !strings.ContainsFunc(value, notInHeader) {
		return nil
	}
	from := "the value"
	if parts, err := vault.Parse(text); err == nil {
		for _, part := range parts {
			if part.Ref == nil {
				continue
			}
			at := slices.IndexFunc(secrets, func(s vault.Secret) bool { return s.Name == part.Ref.Name() })
			if at < 0 || !strings.ContainsFunc(secrets[at].Value, notInHeader) {
				continue
			}
			if from = "the value of " + part.Ref.Text; !strings.ContainsFunc(strings.TrimRight(secrets[at].Value, "\r\n"), notInHeader) {
				return fmt.Errorf("%s ends with a line end, which a header cannot hold: store it without, as `printf %%s` or `vault kv put ... -` from a file without one do", from)
			}
			break
		}
	}
	return fmt.Errorf("%s holds a line end or another control character, which a header cannot", from)
}

func notInHeader(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
