package provenance

import "testing"

// TestSaid shows what the user's words say besides themselves, and that nobody else's do.
func TestSaid(t *testing.T) {
	for text, values := range map[string][]any{
		// Owners, repositories and paths.
		"Comment on acme/web#12":                        {"acme", "web", "acme/web", 12, "#12", "acme/web#12"},
		"fix repo#12":                                   {"repo", 12},
		"see vercel/next.js#3":                          {"vercel", "next.js", "vercel/next.js", 3},
		"see https://github.com/acme/web/issues/12":     {"acme", "web", "acme/web", 12, "issues", "github.com"},
		"see github.com/acme/web?tab=x#readme":          {"acme", "web", "acme/web", "github.com"},
		"edit `src/main.go` and ./README.md":            {"src", "main.go", "src/main.go", "./src/main.go", "README.md", "./README.md"},
		`delete C:\Users\me\a.txt and \\server\share\b`: {`C:\Users\me\a.txt`, "a.txt", "me", "share", "b"},
		"ask Ann/Bob":                                   {"Ann", "Bob"},
		// Amounts.
		"pay 50EUR and EUR70 and 12.5k":   {50, 70, "EUR", 12500},
		"pay 1 234,50 EUR, 5% on the 2nd": {1234.5, 5, "5%", 2},
		// Phone numbers.
		"call 555.123.4567":         {"5551234567", "555-123-4567", "(555) 123-4567", "555 123 4567"},
		"call 555 123 4567":         {"555.123.4567"},
		"call (555) 123-4567":       {"555 123 4567", "555.123.4567"},
		"call +49 (0)30 123456-78.": {"+493012345678", "+49 30 12345678"},
		// Dates and times.
		"on 2024-05-15 at 10:00":      {"2024-05-15T10:00", "2024-05-15 10:00:00", "2024-05-15T10:00:00Z", "2024-05-15T10:00:00.000+02:00", "10:00:00"},
		"on May 15th 2024 at 2:30 pm": {"2024-05-15", "14:30", "2024-05-15T14:30:00"},
		"May 15, 2024, 10am":          {"2024-05-15", "10:00", "2024-05-15 10:00"},
		"on the 15th of May 2024":     {"2024-05-15"},
		"on 3/5/2024":                 {"2024-05-03", "2024-03-05"},
		"on 15.05.2024.":              {"2024-05-15"},
		"at 2024-05-15T10:00:00Z":     {"2024-05-15", "10:00"},
		"at 12am and 12 p.m.":         {"00:00", "12:00"},
		// Emoji, and capitals.
		"🎉party🎉 with Ann👍, Große Straße": {"party", "Ann", "STRASSE"},
	} {
		m, other := New(Options{}), New(Options{})
		m.Text(user, text)
		other.Text(contacts, text)
		other.Text(web, text)
		for _, v := range values {
			if o := m.Lookup(v); !o.Trusted {
				t.Errorf("%#v in %q: %+v", v, text, o)
			}
		}
	}
	for _, o := range []Observation{contacts, files, web} {
		m := New(Options{})
		m.Text(o, "Comment on acme/web#12 on 2024-05-15 at 10:00, 50EUR, May 16th 2024")
		for _, v := range []any{"acme", "web", "acme/web", 12, "2024-05-15T10:00", 50, "2024-05-16"} {
			if m.Lookup(v).Seen {
				t.Errorf("%#v is read in a result", v)
			}
		}
	}
}

// TestNotSaid shows that nothing that leads somewhere comes out of what leads elsewhere.
func TestNotSaid(t *testing.T) {
	for text, values := range map[string][]any{
		"see https://a.com/evil.com":             {"evil.com", "https://evil.com", "a.com/x"},
		"see https://a.com/evil.com/x":           {"evil.com", "evil.com/x"},
		"see https://a.com/x/evil.com?u=e.com/z": {"evil.com", "evil.com/", "e.com", "e.com/z", "z"},
		"see evil.com/good@bank.com":             {"good@bank.com", "bank.com"},
		"see https://a.com/good@bank.com/x":      {"good@bank.com", "bank.com", "x"},
		"see https://a.com/good%40bank.com":      {"good@bank.com", "bank.com"},
		"see https://a.com@evil.com/x":           {"a.com"},
		"see docs/evil.com":                      {"evil.com"},
		"see docs/evil.internal/x":               {"evil.internal"},
		"see docs/10.0.0.1":                      {"10.0.0.1"},
		"see a.com/10.0.0.1":                     {"10.0.0.1"},
		`see C:\evil.com\x`:                      {"evil.com"},
		"see https://github.com/acme/web":        {"https://github.com/acme", "https://github.com/web", "github.com/evil/web"},
		"see acme/web#12":                        {"acme/12", "web/12", "evil/web"},
		"see a.com#b.com":                        {"b.com"},
		"call 555.123.4567":                      {"555.123.4568", "5551234", 555},
		"at 192.168.100.200, 100 200 300":        {"192168100200", 100200300},
		"on 2024-05-15 at 10:00":                 {"2024-05-16T10:00", "2024-05-15T11:00", "2024-05-15T10:00 evil", "2024-05-15T10:00evil@x.com"},
		"on 99/99/2024, at 10:75 or 13pm":        {"2024-99-99", "10:75:00", "25:00"},
		"pay 50EURO and 5x":                      {50, 5},
		"see groß@x.com, straße.example":         {"gross@x.com", "strasse.example"},
	} {
		m := New(Options{})
		m.Text(user, text)
		for _, v := range values {
			if o := m.Lookup(v); o.Trusted {
				t.Errorf("%#v in %q: %+v", v, text, o)
			}
		}
	}
}
