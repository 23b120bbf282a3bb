package secrets

import (
	"fmt"

	"github.com/pelletier/go-toml/v2"
	"github.com/zricethezav/gitleaks/v8/config"
)

// Rules lists the names of the rules that a Find can have, gitleaks' first, and
// PasswordRule, last. It reads
// gitleaks' configuration each time, some milliseconds of work, and compiles nothing.
func Rules() ([]string, error) {
	var c gitleaks
	if err := toml.Unmarshal([]byte(config.DefaultConfig), &c); err != nil {
		return nil, fmt.Errorf("reading gitleaks' rules: %w", err)
	}
	var ids []string
	for _, r := range c.Rules {
		if r.used() {
			ids = append(ids, r.ID)
		}
	}
	for _, r := range ownRules {
		if n := len(ids); ids[n-1] != r.id {
			ids = append(ids, r.id)
		}
	}
	return ids, nil
}

// used reports whether the rule says what to find in a text, and nothing of our own does
// that better.
func (c *ruleConfig) used() bool { return c.Regex != "" && !c.SkipReport && !replaced[c.ID] }
