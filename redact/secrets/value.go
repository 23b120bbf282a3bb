package secrets

import "bytes"

// random reports whether v looks drawn at random, or encoded, rather than written
// in words: it has a digit or letters of both cases in its midst, and not too few
// different signs.
func random(v []byte) bool {
	var digits, upper, lower int
	for i, b := range v {
		switch {
		case '0' <= b && b <= '9':
			digits++
		case 'A' <= b && b <= 'Z' && i > 0:
			upper++
		case 'a' <= b && b <= 'z':
			lower++
		}
	}
	mixed := digits > 0 || upper > 1 && lower > 1 && len(v) >= 12 || bytes.HasSuffix(v, []byte("="))
	return mixed && entropy(v) > 2.4
}

func onlyDigits(v []byte) bool {
	for _, b := range v {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

// standIns are words that documentation puts where a secret would be. A value is
// one of them, or one with "your", "my" or "the" in front: a word inside
// a longer value says nothing.
var standIns = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range []string{"password", "passwd", "pass", "pwd", "passw0rd", "secret", "token", "key", "apikey", "accesstoken",
		"apitoken", "changeme", "changeit", "example", "username", "user", "string", "null", "none", "undefined", "true", "false",
		"redacted", "masked", "hidden", "placeholder", "credentials", "value", "test", "here", "required", "optional"} {
		m[w] = true
	}
	return m
}()

// standIn reports whether v stands in for a secret: a variable, a template, a
// mask, a placeholder's name.
func standIn(v []byte) bool { return template(v) || placeholder(v) }

// template reports whether v is a variable, a template or a mask.
func template(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	switch v[0] {
	case '$', '%':
		// $NAME, ${name}, $(command), %NAME%; but not a password such as $ecr3t!9.
		if len(v) > 1 && (v[1] == '{' || v[1] == '(' || v[0] == '%' && v[len(v)-1] == '%' || identifier(v[1:])) {
			return true
		}
	case '{', '<':
		return true
	case '[', '(':
		if c := v[len(v)-1]; c == ']' || c == ')' {
			return true
		}
	}
	return bytes.Contains(v, []byte("...")) || bytes.Contains(v, []byte("****")) || bytes.Contains(v, []byte("xxxx")) ||
		bytes.Contains(v, []byte("XXXX")) || bytes.Contains(v, []byte("…")) || bytes.Contains(v, []byte("[redacted"))
}

// placeholder reports whether v is a word that documentation puts where a secret would
// be, perhaps with digits behind it.
func placeholder(v []byte) bool {
	if len(v) > 40 {
		return false
	}
	var plain [40]byte
	n := 0
	for _, b := range v {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if 'a' <= b && b <= 'z' {
			plain[n] = b
			n++
		} else if b != '_' && b != '-' && b != ' ' && b != '.' && b != '*' {
			if '0' <= b && b <= '9' && n > 0 {
				continue // password1
			}
			return false
		}
	}
	w := plain[:n]
	if n == 0 {
		return true
	}
	for _, lead := range []string{"your", "my", "the", "insert", "some"} {
		w = bytes.TrimPrefix(w, []byte(lead))
	}
	w = bytes.TrimSuffix(w, []byte("here"))
	return len(w) == 0 || standIns[string(w)]
}

func identifier(v []byte) bool {
	upper, lower := false, false
	for i, b := range v {
		if !isWord(b) || i == 0 && '0' <= b && b <= '9' {
			return false
		}
		upper = upper || 'A' <= b && b <= 'Z'
		lower = lower || 'a' <= b && b <= 'z'
	}
	return len(v) > 0 && !(upper && lower && bytes.ContainsAny(v, "0123456789"))
}

// integrity reports whether what begins at text[i] is the checksum of a package: of
// go.sum, of npm's lock files or of subresource integrity.
func integrity(text []byte, i int) bool {
	around := text[max(0, i-7):min(len(text), i+7)]
	for _, mark := range []string{"h1:", "sha1-", "sha256-", "sha384-", "sha512-"} {
		if bytes.HasPrefix(text[i:], []byte(mark)) || bytes.HasSuffix(around[:min(i, 7)], []byte(mark)) {
			return true
		}
	}
	return false
}

// identifierWords reports whether v is words written together, such as
// ReadUint16LengthPrefixed: what is drawn at random has no long runs of small letters,
// and its digits not in one place.
func identifierWords(v []byte) bool {
	words, numbers, letters := 0, 0, 0
	for i, b := range v {
		if 'a' <= b && b <= 'z' {
			if letters++; letters == 5 {
				words++
			}
			continue
		}
		letters = 0
		if '0' <= b && b <= '9' && (i == 0 || v[i-1] < '0' || v[i-1] > '9') {
			numbers++
		}
	}
	return words > 1 && numbers < 2
}
