// Package compare holds this project's detector of secrets against gitleaks' own,
// in one run. It is a module of its own since gitleaks' detector brings readers of
// archives and repositories along, which the firewall does not need:
//
//	go test -bench . ./
package compare

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/zricethezav/gitleaks/v8/detect"

	"github.com/mcpfirewall/mcpfirewall/redact/secrets"
)

const size = 256 << 10

func text(seed uint64, pieces ...func(*rand.Rand) string) string {
	rng := rand.New(rand.NewPCG(1, seed))
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(pieces[rng.IntN(len(pieces))](rng))
	}
	return b.String()
}

func oneOf(words string) func(*rand.Rand) string {
	list := strings.Fields(words)
	return func(rng *rand.Rand) string { return list[rng.IntN(len(list))] + " " }
}

func draw(rng *rand.Rand, n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return string(out)
}

func BenchmarkDetectors(b *testing.B) {
	prose := oneOf(`the quick report of a meeting on how our service stores orders and invoices was written by two people from
		Berlin most work went into the front page while others took the remaining time to describe what customers see`)
	names := oneOf(`token secret password twitter linkedin auth github access credentials slack heroku sonar cookie curl`)
	mine, err := secrets.New(secrets.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := mine.Prepare(); err != nil {
		b.Fatal(err)
	}
	theirs, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct{ name, text string }{
		{"clean", text(1, prose)},
		{"keywords", text(2, prose, names)},
		{"finds", text(3, prose, prose, prose, prose, func(rng *rand.Rand) string {
			return fmt.Sprintf("token ghp_%s\napi_key = %q\n", draw(rng, 36), draw(rng, 32))
		})},
	} {
		b.Run(bb.name+"/ours", func(b *testing.B) {
			raw := []byte(bb.text)
			b.SetBytes(int64(len(raw)))
			var finds []secrets.Find
			for b.Loop() {
				if finds, err = mine.Append(finds[:0], raw, time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(finds)), "finds")
		})
		b.Run(bb.name+"/gitleaks", func(b *testing.B) {
			b.SetBytes(int64(len(bb.text)))
			n := 0
			for b.Loop() {
				n = len(theirs.DetectString(bb.text))
			}
			b.ReportMetric(float64(n), "finds")
		})
	}
}
