package secrets

import (
	"slices"
	"testing"
)

// TestRules holds the list against the rules that a detector has.
func TestRules(t *testing.T) {
	listed, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Options{Passwords: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	var loaded []string
	for _, r := range d.rules {
		loaded = append(loaded, r.id)
	}
	slices.Sort(listed)
	slices.Sort(loaded)
	if loaded = slices.Compact(loaded); !slices.Equal(listed, loaded) || len(listed) < 200 {
		t.Errorf("listed:\n%q\nloaded:\n%q", listed, loaded)
	}
}

func BenchmarkRules(b *testing.B) {
	for b.Loop() {
		if _, err := Rules(); err != nil {
			b.Fatal(err)
		}
	}
}
