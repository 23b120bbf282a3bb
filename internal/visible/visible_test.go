package visible

import (
	"fmt"
	"testing"
	"unicode/utf8"
)

func TestHidden(t *testing.T) {
	for _, r := range "\x00\x1b\n\t\x7f\u0085\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u2000\u200b\u200d\u202e\u2028\u2029\u202f\u205f" +
		"\u2060\u2066\u2800\u3000\u3164\ufe0f\ufeff\uffa0\ufff9\ufffb\U0001d173\U000e0001\U000e0041\U000e007f\U000e0100\U000e01ef" {
		if !Hidden(r) {
			t.Errorf("%U counts as visible", r)
		}
		want := fmt.Sprintf(`a\u{%x}b`, r)
		if r == '\n' || r == '\t' {
			want = "a" + string(r) + "b"
		}
		if got := Text("a" + string(r) + "b"); got != want {
			t.Errorf("%U is shown as %q, want %q", r, got, want)
		}
		if got := Name("a" + string(r) + "b"); got != "ab" {
			t.Errorf("a name with %U is shown as %q", r, got)
		}
	}
	for _, r := range " ~éßЖ中あ한🙂…€\u0301\ufffd" {
		if Hidden(r) || Text(string(r)) != string(r) {
			t.Errorf("%U counts as hidden", r)
		}
	}
}

func TestCut(t *testing.T) {
	for n := range 12 {
		got := Start("aé€🙂z", n)
		if len(got) > n || !utf8.ValidString(got) {
			t.Errorf("the first %d bytes are %q", n, got)
		}
		if cut := Cut("aé€🙂z", n); n < 11 && cut != got+"…" || n == 11 && cut != "aé€🙂z" {
			t.Errorf("cut at %d: %q", n, cut)
		}
	}
}
