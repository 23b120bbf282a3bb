package pii

import (
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzAppend holds for any text: finds are ordered, inside the text, not empty,
// of a known type, and do not cut characters.
func FuzzAppend(f *testing.F) {
	for _, texts := range examples {
		for _, text := range texts {
			f.Add([]byte(text))
		}
	}
	for _, b := range benches {
		f.Add([]byte(b.unit[:min(len(b.unit), 300)]))
	}
	f.Add([]byte("+\u200b1 (\u00ad2"))
	f.Add([]byte("\xef\xbc\x90\xef\xbc"))
	f.Add([]byte("AB\xa012 34 56 C\xc2"))
	f.Add([]byte("h\u06f6, D3\u06f6G"))
	d := detector(f, Options{})
	types := map[string]bool{}
	for _, k := range Types() {
		types[k.Name] = true
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		finds, err := d.Append(nil, text, time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		last := 0
		for _, x := range finds {
			if x.Start < last || x.End <= x.Start || x.End > len(text) || !types[x.Type] {
				t.Fatalf("%+v after %d in %d bytes", x, last, len(text))
			}
			last = x.Start
			if utf8.Valid(text) && (!utf8.RuneStart(text[x.Start]) || x.End < len(text) && !utf8.RuneStart(text[x.End])) {
				t.Fatalf("%+v cuts a character of %q", x, text)
			}
		}
	})
}

// TestTogether finds all in one text as each alone, in prose and in JSON.
func TestTogether(t *testing.T) {
	d := detector(t, Options{})
	text := `{"user":{"email":"jane@mail.com","phone":"+1 202-555-0143","card":4111111111111111,"iban":"GB29 NWBK 6016 1331 9268 19"},"id":4111111111111111,` +
		`"note":"SSN 219-09-9998 from 203.0.113.7, Steuer-ID 86095742719\nFax: 202 555 0144"}`
	want := []string{"email jane@mail.com", "phone +1 202-555-0143", "credit_card 4111111111111111", "iban GB29 NWBK 6016 1331 9268 19", "ssn 219-09-9998",
		"ip 203.0.113.7", "de_tax_id 86095742719", "phone 202 555 0144"}
	got := all(t, d, text)
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}
