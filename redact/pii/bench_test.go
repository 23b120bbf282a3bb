package pii

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const prose = "The quick brown fox jumps over the lazy dog, and 42 others do so as well; see https://example.com/fox?id=7.\n"

// dense is JSON full of numbers of which none is a person's.
func dense(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":%d,"uid":"%016x","uuid":"%08x-1b2c-4d3e-8f4a-%012x","ts":%d,"at":"2024-%02d-%02dT03:04:05.%03dZ","lat":%.6f,"lon":-%.6f,"sha":"%040x","price":%d.99,"ok":true},`,
			1e9+i*7919, i*0x9e3779b97f4a7c1, i*77777, i*999331, 1700000000000+i*1013, i%12+1, i%28+1, i%1000, 10+float64(i%80)/7, float64(i%170)/3, i*0x5deece66d, i%5000)
	}
	return b.String()
}

var benches = []struct{ name, unit string }{
	{"prose", prose},
	{"chinese", "敏捷的棕色狐狸，跳过了懒狗；其他42只也是。"},
	{"arabic", "الثعلب البني السريع يقفز فوق الكلب الكسول "},
	{"json", dense(2000)},
	{"numbers", "12, 345.67, 8910, 1112131, 41516 1718 "},
	{"digits", "1 2 3 4 5 6 7 8 9 0 "},
	{"base64", "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYW5kNDIgb3RoZXJz"},
	{"hex", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 "},
	{"times", "2024-01-02 03:04:05,678 INFO 12:30:45 [10] "},
	{"finds", "Jane, jane@mail.com, +1 202-555-0143, card 4111 1111 1111 1111, GB29 NWBK 6016 1331 9268 19, SSN 219-09-9998, 203.0.113.7\n"},
	{"ats", "@a@a.b@c"},
	{"phones-not", "phone 1 23 4 56 7 89 0 12 3 45 6 78 9 "},
}

func BenchmarkAppend(b *testing.B) {
	d := detector(b, Options{})
	for _, bench := range benches {
		text := []byte(strings.Repeat(bench.unit, (1<<20)/len(bench.unit)+1)[:1<<20])
		for len(text) > 0 && !utf8.Valid(text) {
			text = text[:len(text)-1]
		}
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var finds []Find
			var err error
			for b.Loop() {
				if finds, err = d.Append(finds[:0], text, time.Now().Add(time.Minute)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(finds)), "finds")
		})
	}
}
