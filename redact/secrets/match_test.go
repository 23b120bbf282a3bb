package secrets

import (
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/zricethezav/gitleaks/v8/config"
)

func keep(re *syntax.Regexp) *syntax.Regexp { return re }

// expressions are all of gitleaks' and ours that the matcher takes over from package regexp.
func expressions(t testing.TB) (out []string) {
	var c gitleaks
	if err := toml.Unmarshal([]byte(config.DefaultConfig), &c); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Rules {
		if r.Regex != "" {
			out = append(out, r.Regex)
		}
	}
	for _, r := range ownRules {
		out = append(out, r.pattern)
	}
	return append(out, `(?i)kiss|K|\bs+?\b`, `(a|ab)(c|bcd)(d*)`, `^x{2,5}?$|\By`, `(?:ab?){2,3}c`, `[^a-c]{1,3}?é`, `(?i)straſſe`)
}

// The matcher must agree with package regexp, groups included.
func FuzzMatch(f *testing.F) {
	type pair struct {
		mine *pattern
		std  *regexp.Regexp
	}
	var pairs []pair
	for _, e := range expressions(f) {
		p, _, err := compile(e, keep)
		if err != nil {
			f.Fatal(err)
		}
		if p.run != nil {
			pairs = append(pairs, pair{p, regexp.MustCompile(`\A(?:` + e + `)`)})
		}
	}
	for _, s := range []string{"api_key = '" + key32 + "' ", "KIſS", "abcd", "ababc", "password: \"x\"", "ghp_" + key36, "sgp_local_" + key40, jwt, "\xffé", "xxx", "aws_secret_access_key=" + key40} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var m machine
		for _, p := range pairs {
			want := p.std.FindSubmatchIndex(text)
			got := p.mine.match(&m, text, 0)
			if got != (want != nil) || got && !slices.Equal(m.caps[:len(want)], want) {
				t.Fatalf("%s in %q: %v %v, want %v", p.std, text, got, m.caps[:2*p.mine.groups], want)
			}
		}
	})
}

func TestNearlyAllRulesAreMatchedHere(t *testing.T) {
	for _, e := range expressions(t) {
		p, _, err := compile(e, keep)
		if err != nil {
			t.Fatal(err)
		}
		if p.run == nil {
			t.Errorf("left to package regexp: %s", e)
		}
	}
}

func TestEntropy(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "aaaa": 0, "abab": 1, "abcd": 2, "aabc": 1.5} {
		if got := entropy([]byte(text)); math.Abs(got-want) > 1e-9 {
			t.Errorf("entropy of %q is %v, want %v", text, got, want)
		}
	}
}
