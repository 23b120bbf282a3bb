package redact

import (
	"strings"
	"testing"
	"time"
)

// TestHostileText meets text made to be slow: the time per byte must not grow
// with its size.
func TestHostileText(t *testing.T) {
	r := with(append(samples(20), "aaaaaaaaaaaaaaaa", "00000000", "a b c d e f g", "%25%25%25%25", `\\\\\\\\\\`)...)
	for name, unit := range map[string]string{
		"a repeated secret":    "a",
		"backslashes":          `\\`,
		"escaped quotes":       `\"`,
		"percent signs":        "%25",
		"percent and escapes":  `%5c%5c\\\\n`,
		"line breaks":          `\n`,
		"indentation":          `\n` + strings.Repeat(" ", 5000),
		"everything":           `a\\\\u0061%2561\n \\\"`,
		"starts of escapes":    `\\u00\\u{0\\x0`,
		"beginnings of secret": samples(1)[0][:30],
	} {
		took := func(size int) time.Duration {
			raw := []byte(`"` + strings.Repeat(unit, size/len(unit)) + `"`)
			start := time.Now()
			if _, _, err := r.Known(raw); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			r.Text(string(raw))
			return time.Since(start)
		}
		// Sixteen times the size. The rest is for a busy machine; what grows with
		// the square would still be caught.
		small, large := took(1<<16), took(1<<20)
		if large > 100*small+time.Second {
			t.Errorf("%s: 64 KiB take %v, and 1 MiB takes %v", name, small, large)
		}
	}
}
