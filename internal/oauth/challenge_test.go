package oauth

import (
	"strings"
	"testing"
)

func FuzzChallenge(f *testing.F) {
	for _, seed := range []string{
		`Bearer`, `Bearer error="invalid_token", resource_metadata="https://a/b"`, `Basic realm="a, Bearer error=\"x\"", Bearer scope="a b"`,
		`Negotiate abc==, bearer error=x`, `Bearer error="unterminated`, `Bearer error="a", error="b"`, `, ,Bearer ,error = x`, `=`, `Bearer =x`, `Bearer a=b c=d`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c := parseChallenges([]string{line})
		if c != (challenge{}) && !strings.Contains(strings.ToLower(line), "bearer") {
			t.Errorf("%q says %+v", line, c)
		}
		if len(c.err)+len(c.scope)+len(c.metadata) > len(line) {
			t.Errorf("%q says more than it holds: %+v", line, c)
		}
	})
}

func TestChallenge(t *testing.T) {
	for _, test := range []struct {
		lines []string
		want  challenge
	}{
		{nil, challenge{}},
		{[]string{`Bearer`}, challenge{}},
		{[]string{`Bearer realm="x"`}, challenge{}},
		{[]string{`Bearer error="invalid_token"`}, challenge{err: "invalid_token"}},
		{[]string{`bEaReR Error=invalid_token , SCOPE = "a b"`}, challenge{err: "invalid_token", scope: "a b"}},
		{[]string{`Bearer resource_metadata="https://a/b,c=d"`}, challenge{metadata: "https://a/b,c=d"}},
		{[]string{`Bearer resource_metadata="https://a/\"b\\"`}, challenge{metadata: `https://a/"b\`}},
		{[]string{`Basic realm="Bearer error=\"x\"", Bearer scope="y"`}, challenge{scope: "y"}},
		{[]string{`Negotiate YII=, Bearer scope="y"`}, challenge{scope: "y"}},
		{[]string{`Negotiate, Bearer scope="y"`}, challenge{scope: "y"}},
		{[]string{`Basic error="x"`}, challenge{}},
		{[]string{`Basic a=b`, `Digest x=y, Bearer scope="y"`}, challenge{scope: "y"}},
		{[]string{`Bearer scope="y", Basic error="x"`}, challenge{scope: "y"}},
		{[]string{`DPoP error="x", Bearer scope="y"`}, challenge{scope: "y"}},
		{[]string{`Bearer scope="y", scope="z"`}, challenge{}},
		{[]string{`Bearer scope="y", SCOPE="z"`}, challenge{}},
		{[]string{`error="x"`}, challenge{}},
		{[]string{`Bearer scope="y`}, challenge{}},
		{[]string{`Bearer ` + strings.Repeat("x", maxChallenge) + `="y", scope="z"`}, challenge{}},
	} {
		if got := parseChallenges(test.lines); got != test.want {
			t.Errorf("%q: %+v, want %+v", test.lines, got, test.want)
		}
	}
}
