package pii

// quick returns where to go on behind the number at i if that is surely
// nothing, otherwise 0. Most numbers in data are short, or ids that no word
// speaks of, decimal fractions, times, UUIDs and hex.
func (s *scanner) quick(i int) int {
	text := s.text
	before := byte(' ')
	if i > 0 {
		before = text[i-1]
	}
	if isWord(before) || before == ':' && i > 1 && (text[i-2] == ':' || isHex(text[i-2])) {
		return 0
	}
	end := digitsEnd(text, i)
	n := end - i
	if n == 0 || end+1 >= len(text) {
		return 0
	}
	c, d := text[end], text[end+1]
	switch {
	case class[c]&goesOn == 0:
		if n <= 5 {
			return end
		}
		if n == 11 || n == 13 && text[i] == '7' || n == 14 && text[i] == '3' || n >= 15 || before == '+' || before == '(' || before >= 0x80 {
			return 0
		}
		s.chain.groups[0], s.chain.n = group{start: i, end: end, n: n}, 1
		s.known, s.knownBehind = false, false
		if (s.near()|s.behind())&^(notPersonal|reachedAt|exampleWord|versionWord) == 0 {
			return end
		}
	case c == '.' && isDigit(d):
		f := digitsEnd(text, end+1)
		if f < len(text) && class[text[f]]&goesOn != 0 || n == 3 && f-end == 5 || before == '+' || before == '(' {
			return 0
		}
		return f
	case n <= 5 && (c == ' ' || c == '.') && (class[d]&goesOn == 0 || isLetter(d)):
		return end
	case c == '-' && n == 4:
		return timestampEnd(text, i)
	case isLetter(c):
		if n == 6 || n == 7 || n == 17 {
			return 0
		}
		if e := uuidEnd(text, i); e > 0 || n == 8 {
			return e
		}
		e := wordEnd(text, end)
		if e-i <= 4 || e-i == 14 || n > 4 && before == ' ' && (c|0x20 == 'x' || c|0x20 == 'e') {
			return 0
		}
		return e
	}
	return 0
}

func digitsEnd(text []byte, i int) int {
	for i < len(text) && isDigit(text[i]) {
		i++
	}
	return i
}

// timestampEnd returns the end of the date and time at i (RFC 3339, with a T or
// a space), or of the date, or 0.
func timestampEnd(text []byte, i int) int {
	if i+11 > len(text) || text[i+4] != '-' || text[i+7] != '-' || !isDigit(text[i+5]) || !isDigit(text[i+6]) ||
		!isDigit(text[i+8]) || !isDigit(text[i+9]) || text[i] != '1' && text[i] != '2' || text[i+5] > '1' || text[i+8] > '3' {
		return 0
	}
	if c := text[i+10]; isDigit(c) || c == '-' || c == '.' || c >= 0x80 {
		return 0
	}
	if i+20 <= len(text) && (text[i+10] == 'T' || text[i+10] == ' ') && text[i+13] == ':' && text[i+16] == ':' &&
		isDigit(text[i+11]) && isDigit(text[i+12]) && isDigit(text[i+14]) && isDigit(text[i+15]) && isDigit(text[i+17]) && isDigit(text[i+18]) {
		end := i + 19
		if text[end] == '.' || text[end] == ',' {
			if f := digitsEnd(text, end+1); f-end <= 10 {
				end = f
			}
		}
		if end < len(text) && (text[end] == ':' || isDigit(text[end])) {
			return 0
		}
		return end
	}
	return i + 10
}
