package redact

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"
)

// pattern is one appearance of a secret: a run of bytes that is looked for in
// text whose escapes were already undone.
type pattern struct {
	text string

	// In base64 the characters at either end of a value may hold bits of its
	// neighbours too, and so differ. They are not part of text, but belong to
	// the find.
	before, after bool
}

// forms returns the patterns of one value. JSON escapes, percent-encoding, character
// references and line breaks are undone in the text that is looked at and so need none.
func forms(value string) []pattern {
	var list []pattern
	seen := map[string]bool{}
	add := func(p pattern) {
		if len(p.text) >= minLength && !seen[p.text] {
			seen[p.text] = true
			list = append(list, p)
		}
	}
	for _, part := range parts(value) {
		spellings := []string{part, joinLines(part)}
		if strings.Contains(part, "\n") {
			spellings = append(spellings,
				strings.ReplaceAll(strings.ReplaceAll(part, "\r\n", "\n"), "\n", "\r\n"),
				strings.ReplaceAll(part, "\r\n", "\n"))
		}
		for _, s := range spellings {
			add(pattern{text: s})
		}
		// application/x-www-form-urlencoded.
		add(pattern{text: strings.ReplaceAll(part, " ", "+")})

		// What base64 or hexadecimal hides may itself be JSON, or of two bytes a character.
		for _, s := range slices.Concat(spellings, jsonSpellings(part), utf16Spellings(part)) {
			for _, p := range base64Forms(s) {
				add(p)
			}
			lower := hex.EncodeToString([]byte(s))
			add(pattern{text: lower})
			add(pattern{text: strings.ToUpper(lower)})
		}
	}
	for _, line := range pemLines(value) {
		add(pattern{text: line})
	}
	return list
}

// parts returns value without surrounding white space, what it stands for where
// it is itself escaped, and the parts of it that are secret on their own: what follows an authentication scheme, the password in
// a URL, and the longer strings of a JSON document such as a cloud provider's
// key file.
func parts(value string) []string {
	value = strings.TrimSpace(value)
	list := []string{value}
	// A value that was stored escaped is used, and shown, as what it means.
	for _, undo := range []decoder{unescape, uncode, unprintable} {
		list = append(list, string(undo(make([]byte, len(value)+slop), []byte(value), nil)))
	}
	if scheme, rest, ok := strings.Cut(value, " "); ok {
		switch strings.ToLower(scheme) {
		case "bearer", "basic", "token":
			list = append(list, strings.TrimSpace(rest))
		}
	}
	if u, err := url.Parse(value); err == nil && u.Host != "" && u.User != nil {
		if password, ok := u.User.Password(); ok {
			list = append(list, password)
		}
	}
	if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") {
		list = append(list, jsonStrings(value)...)
	}
	return list
}

// jsonStrings returns the strings in a JSON document that are long enough to be
// a credential and are not addresses, which a key file is full of. Of text that
// is not JSON it returns none.
func jsonStrings(doc string) []string {
	const credential = 16
	if !jsontext.Value(doc).IsValid() {
		return nil
	}
	var list []string
	dec := jsontext.NewDecoder(strings.NewReader(doc))
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return list
		}
		if kind, n := dec.StackIndex(dec.StackDepth()); tok.Kind() != '"' || kind == '{' && n%2 == 1 {
			continue // no string, or an object name
		}
		if s := strings.TrimSpace(tok.String()); len(s) >= credential && !strings.Contains(s, "://") {
			list = append(list, s)
		}
	}
}

// pemLines returns the lines of base64 in a PEM block. A private key is as lost
// when it appears line by line.
func pemLines(value string) []string {
	const long = 32
	if !strings.Contains(value, "-----BEGIN ") {
		return nil
	}
	var list []string
	for line := range strings.SplitSeq(value, "\n") {
		line = strings.TrimSpace(line)
		if len(line) >= long && strings.Trim(line, base64Alphabet+"=") == "" {
			list = append(list, line)
		}
	}
	return list
}

// jsonSpellings returns s as JSON encoders write it inside a string.
func jsonSpellings(s string) []string {
	var list []string
	if quoted, err := jsontext.AppendQuote(nil, s); err == nil {
		plain := string(quoted[1 : len(quoted)-1])
		list = append(list, plain, strings.ReplaceAll(plain, "/", `\/`))
		// As encoding/json and others do for the sake of HTML.
		list = append(list, strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(plain))
	}
	return list
}

// utf16Spellings returns s in UTF-16, in both byte orders.
func utf16Spellings(s string) []string {
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		little = binary.LittleEndian.AppendUint16(little, unit)
		big = binary.BigEndian.AppendUint16(big, unit)
	}
	return []string{string(little), string(big)}
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"

// base64Forms returns the characters that s alone determines in the base64 of a
// text that holds s, for each of the three places s can have in a group of three
// bytes, in both alphabets of RFC 4648.
func base64Forms(s string) []pattern {
	var list []pattern
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:before] + s))
		first := (8*before + 5) / 6
		last := 8 * (before + len(s)) / 6
		p := pattern{
			text:   encoded[first:last],
			before: before != 0,
			after:  (before+len(s))%3 != 0,
		}
		list = append(list, p)
		p.text = strings.NewReplacer("+", "-", "/", "_").Replace(p.text)
		list = append(list, p)
	}
	return list
}

// joinLines removes line breaks and the indentation after them, as unwrap does
// in the text that is looked at.
func joinLines(s string) string {
	if !strings.Contains(s, "\n") {
		return s
	}
	buf := make([]byte, len(s)+slop)
	return string(unwrap(buf, []byte(s), nil))
}
