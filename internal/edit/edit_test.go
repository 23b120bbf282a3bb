package edit

import "testing"

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b    string
		want    int // with a limit of 4
		pattern int
	}{
		{"", "", 0, 0},
		{"allow", "allow", 0, 0},
		{"alow", "allow", 1, 1},
		{"alllow", "allow", 1, 1},
		{"aljow", "allow", 1, 1},
		{"rleus", "rules", 2, 2},
		{"vualt", "vault", 1, 1},
		{"ca", "abc", 3, 3}, // of optimal string alignment, which edits no part twice
		{"größe", "grösse", 2, 2},
		{"grüsse", "grösse", 1, 1},
		{"", "abc", 3, 3},
		{"rules", "limits", 4, 4},
		{"a", "abcdefgh", 4, 4},
		{"*", "allow", 4, 0},
		{"a*", "allow", 4, 0},
		{"mial.*", "mail.send_mail", 4, 1},
		{"*.sned", "mail.send", 4, 1},
	} {
		if got := Distance(test.a, test.b, 4); got != test.want {
			t.Errorf("from %q to %q it is %d, want %d", test.a, test.b, got, test.want)
		}
		if got := DistanceOfPattern(test.a, test.b, 4); got != test.pattern {
			t.Errorf("from the pattern %q to %q it is %d, want %d", test.a, test.b, got, test.pattern)
		}
	}
}
