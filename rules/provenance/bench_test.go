package provenance

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// prose returns n bytes of made-up text with words, addresses, links and numbers.
func prose(n int, seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for b.Len() < n {
		switch rnd.IntN(24) {
		case 0:
			fmt.Fprintf(&b, "user%d@example%d.com ", rnd.IntN(1e6), rnd.IntN(100))
		case 1:
			fmt.Fprintf(&b, "https://www.site%d.example/p/%x?q=%d ", rnd.IntN(500), rnd.Uint32(), rnd.IntN(1e4))
		case 2:
			fmt.Fprintf(&b, "%d.%02d, ", rnd.IntN(1e5), rnd.IntN(100))
		case 3:
			b.WriteString("(see below).\n")
		default:
			fmt.Fprintf(&b, "word%s ", strings.Repeat(string(rune('a'+rnd.IntN(26))), 1+rnd.IntN(5))+string(rune('a'+rnd.IntN(26)))+string(rune('a'+rnd.IntN(26))))
		}
	}
	return b.String()[:n]
}

// records returns about n bytes of JSON as a list of rows.
func records(n int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 2))
	var b strings.Builder
	b.WriteString(`{"rows":[`)
	for b.Len() < n {
		if b.Len() > 16 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"email":"user%d@example.com","name":"First%d Last%d","active":true,"note":"paid %d.50 on 2026-01-%02d"}`,
			rnd.IntN(1e9), rnd.IntN(1e6), rnd.IntN(1000), rnd.IntN(1000), rnd.IntN(1e4), 1+rnd.IntN(28))
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// table returns about n bytes of comma-separated rows, all different.
func table(n int, seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 3))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%d,user%d@example.com,%d.%02d,First%d Last%d,2026-01-%02d,active\n",
			rnd.IntN(1e6), rnd.IntN(1e6), rnd.IntN(1e4), rnd.IntN(100), rnd.IntN(1000), rnd.IntN(1000), 1+rnd.IntN(28))
	}
	return b.String()
}

// groups returns about n bytes of digits in groups of four, all different.
func groups(n int, seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 4))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%04d ", rnd.IntN(1e4))
	}
	return b.String()
}

func BenchmarkObserve100KiB(b *testing.B) {
	var accented strings.Builder
	for accented.Len() < 100<<10 {
		accented.WriteString("Übergrößenträger für die Straße von Zoë Müller, geöffnet – ")
	}
	for name, text := range map[string]string{
		"prose": prose(100<<10, 1), "json": string(records(100<<10, 1)), "accents": accented.String(),
		"csv": strings.Repeat("4711,a@b.example,12.50,x\n", 4<<10), "numbers": strings.Repeat("0123 4567 8901 ", 7<<10),
		"table": table(100<<10, 1), "groups": groups(100<<10, 1),
	} {
		for _, sent := range []bool{false, true} {
			for trust, place := range map[Trust]string{Trusted: "trusted", Untrusted: "untrusted"} {
				b.Run(fmt.Sprintf("%s/%s/sent=%v", name, place, sent), func(b *testing.B) {
					before := New(Options{})
					if sent {
						before.Sent(records(100<<10, 7))
					}
					b.SetBytes(int64(len(text)))
					b.ReportAllocs()
					for b.Loop() {
						m := New(Options{})
						m.seed, m.sent, m.spelled = before.seed, before.sent, before.spelled // observing only reads them
						m.Text(Observation{Source: "s.t", Trust: trust}, text)
					}
				})
			}
		}
	}
}

// full returns a memory of at least n values, and prints nothing.
func full(n int) *Memory {
	m := New(Options{})
	m.Text(Observation{Source: "user"}, "Pay alice@example.com, who lives in 12 Some Street, Zurich.")
	for i := uint64(0); m.Stats().Values < n; i++ {
		m.Text(Observation{Source: "web.fetch", Trust: Untrusted}, prose(8<<10, i))
		m.JSON(Observation{Source: "crm.list", Trust: Trusted}, records(4<<10, i))
	}
	return m
}

func BenchmarkLookup(b *testing.B) {
	m := full(10_000)
	for name, v := range map[string]any{
		"address": "Alice@Example.com", "unseen": "https://nowhere.example/p", "number": 12, "decimal": 12.5,
		"run": "12 Some Street, Zurich", "unicode": "Zoë Müller", "iban": "GB29 NWBK 6016 1331 9268 19",
		"text": strings.Repeat("word after word of a body that nobody wrote ", 100),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Lookup(v)
			}
		})
	}
}

// BenchmarkMemory reports the bytes in use per distinct value.
func BenchmarkMemory(b *testing.B) {
	for name, fill := range map[string]func(m *Memory, i uint64){
		"prose": func(m *Memory, i uint64) { m.Text(Observation{Source: "s.t"}, prose(8<<10, i)) },
		"json":  func(m *Memory, i uint64) { m.JSON(Observation{Source: "s.t"}, records(8<<10, i)) },
	} {
		b.Run(name, func(b *testing.B) {
			var s Stats
			for b.Loop() {
				m := New(Options{})
				for i := uint64(0); m.Stats().Values < 10_000; i++ {
					fill(m, i)
				}
				s = m.Stats()
			}
			b.ReportMetric(float64(s.Bytes)/float64(s.Values), "B/value")
		})
	}
}
