package secrets

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var words = strings.Fields(`the quick report of a meeting on how our service stores orders and invoices was written by two
	people from the team in Berlin and shows that most of the work they did went into the front page while others took
	the remaining time to describe what customers see when it loads slowly or an order cannot be found in the list
	before summer ends we should agree on who answers questions from new customers since nobody has looked at them for
	weeks and several were unhappy about it last year a third of all visitors left without buying anything but after the
	change in April this fell to one in five which is a key result although it is too early to say whether it will last
	please read the notes below and tell us what you think especially if you have access to the numbers of other teams
	because ours go back only to January when we moved to a larger building with better light and more room for everyone`)

func prose(rng *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(" .,  "[rng.IntN(5)])
		if rng.IntN(4) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()[:n]
}

// flat is a JSON document of size bytes whose strings are clean prose.
func flat(size int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString(`{"content":[`)
	for b.Len() < size-600 {
		fmt.Fprintf(&b, `{"type":"text","text":%q},`, prose(rng, 2000))
	}
	fmt.Fprintf(&b, `{"type":"text","text":%q}]}`, prose(rng, 100))
	return b.Bytes()
}

// small is a JSON document of many small objects.
func small(size int) []byte {
	rng := rand.New(rand.NewPCG(1, 3))
	var b bytes.Buffer
	b.WriteString(`[`)
	for i := 0; b.Len() < size-100; i++ {
		fmt.Fprintf(&b, `{"id":%d,"key":"item-%d","name":%q,"open":true,"tags":["a","b"],"score":%.2f},`,
			i, rng.IntN(1000), prose(rng, 12), rng.Float64()*100)
	}
	b.WriteString(`{}]`)
	return b.Bytes()
}

// keywords is text dense with what rules look for, and no secret.
func keywords(size int) []byte {
	rng := rand.New(rand.NewPCG(1, 4))
	names := []string{"token", "api key", "secret", "password", "twitter", "linkedin", "auth", "Authorization", "github", "key:",
		"access", "credentials", "slack", "heroku", "sonar", "cookie", "https://example.com/a?page=2", "sk_", "bearer"}
	var b bytes.Buffer
	for b.Len() < size {
		b.WriteString(names[rng.IntN(len(names))])
		b.WriteByte(' ')
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.Bytes()
}

const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func draw(rng *rand.Rand, alphabet string, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return string(out)
}

// dense is text with a secret about every 100 bytes.
func dense(size int) []byte {
	rng := rand.New(rand.NewPCG(1, 5))
	var b bytes.Buffer
	for b.Len() < size {
		switch rng.IntN(4) {
		case 0:
			fmt.Fprintf(&b, "token ghp_%s\n", draw(rng, alnum, 36))
		case 1:
			fmt.Fprintf(&b, "api_key = \"%s\"\n", draw(rng, alnum, 32))
		case 2:
			fmt.Fprintf(&b, "AKIA%s\n", draw(rng, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16))
		case 3:
			fmt.Fprintf(&b, "postgres://app:%s@db.internal/app\n", draw(rng, alnum, 20))
		}
		b.WriteString(prose(rng, 60))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func BenchmarkAppend(b *testing.B) {
	for _, bb := range []struct {
		name string
		text []byte
	}{
		{"1KiB", flat(1 << 10)},
		{"flat", flat(1 << 20)},
		{"small", small(1 << 20)},
		{"keywords", keywords(1 << 20)},
		{"dense", dense(1 << 20)},
		{"flat64MiB", flat(64 << 20)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			d, err := New(Options{})
			if err != nil {
				b.Fatal(err)
			}
			if err := d.Prepare(); err != nil {
				b.Fatal(err)
			}
			var finds []Find
			b.SetBytes(int64(len(bb.text)))
			b.ReportAllocs()
			for b.Loop() {
				if finds, err = d.Append(finds[:0], bb.text, time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(finds)), "finds")
		})
	}
}

func BenchmarkPrepare(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		d, _ := New(Options{})
		if err := d.Prepare(); err != nil {
			b.Fatal(err)
		}
	}
}
