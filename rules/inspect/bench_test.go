package inspect

import (
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	base := b.TempDir()
	for _, bench := range []struct {
		name  string
		parse func() error
	}{
		{"url", func() error {
			_, err := ParseURL("https://api.example.co.uk:8443/v1/users/42?fields=name#top")
			return err
		}},
		{"url-ip", func() error { _, err := ParseURL("http://[::ffff:a9fe:a9fe]/latest/meta-data/"); return err }},
		{"url-escaped", func() error { _, err := ParseURL("https://example.com/a%20b/%C3%A4/c"); return err }},
		{"url-idn", func() error { _, err := ParseURL("https://münchen.example.de/"); return err }},
		{"ip", func() error { _, err := ParseIP("0x7f.0.0.1"); return err }},
		{"email", func() error { _, err := ParseEmail(`"Doe, Jane" <jane.doe@example.com>`); return err }},
		{"path-unbased", func() error { _, err := ParsePath("src/pkg/file.go", ""); return err }},
		{"path", func() error { _, err := ParsePath("src/pkg/file.go", base); return err }},
		{"path-dotdot", func() error { _, err := ParsePath("src/../pkg/file.go", base); return err }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.parse(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	u, err := ParseURL("https://api.example.com/")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("url-in", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if in, err := u.In("example.org", "10.0.0.0/8", "example.com"); !in || err != nil {
				b.Fatal(in, err)
			}
		}
	})
	p, err := ParsePath("src/pkg/file.go", base)
	if err != nil {
		b.Fatal(err)
	}
	for name, root := range map[string]string{"path-within": base, "path-not-within": "/usr/share"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Within(root); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The worst of what fits into the size limits.
func BenchmarkParseHostile(b *testing.B) {
	for _, bench := range []struct {
		name  string
		parse func() error
	}{
		{"url-escapes", func() error { _, err := ParseURL("http://a.com/" + strings.Repeat("%C3%A4", maxURL/6-4)); return err }},
		{"url-idn", func() error {
			_, err := ParseURL("http://" + strings.Repeat("äöüßйц漢", maxURL/20) + ".com/")
			return err
		}},
		{"url-labels", func() error {
			_, err := ParseURL("http://" + strings.Repeat("1-2-3.", 40) + "nip.io/")
			return err
		}},
		{"emails", func() error { _, err := ParseEmails(strings.Repeat("a@b.co,", maxEmails/7-1) + "a@b.co"); return err }},
		{"path", func() error { _, err := ParsePath(strings.Repeat("a/", maxNames-1), "/"); return err }},
		{"path-dotdot", func() error { _, err := ParsePath("/"+strings.Repeat("usr/../", maxNames/2-1), ""); return err }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = bench.parse()
			}
		})
	}
}
