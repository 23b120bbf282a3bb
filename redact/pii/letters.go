package pii

import "bytes"

// word looks at the ASCII word at start, whose first digit is at i: the ids
// that begin with letters. It returns where to go on.
func (s *scanner) word(start, i int) int {
	text := s.text
	letters := i - start
	if n := bytes.LastIndexByte(text[start:i], '_'); n >= 0 {
		if letters-n == 3 {
			if end := s.iban(i - 2); end > 0 {
				return end
			}
		}
		return wordEnd(text, i)
	}
	switch letters {
	case 1:
		if end := s.nie(start); end > 0 {
			return end
		}
	case 2:
		if end := s.iban(start); end > 0 {
			return end
		}
		if end := s.nino(start); end > 0 {
			return end
		}
	case 4:
		if end := s.curp(start); end > 0 {
			return end
		}
	case 5:
		if end := s.pan(start); end > 0 {
			return end
		}
	case 6:
		if end := s.fiscalCode(start); end > 0 {
			return end
		}
		if bytes.EqualFold(text[start:start+4], []byte("iban")) {
			if end := s.iban(start + 4); end > 0 {
				return end
			}
		}
	case 8:
		if end := uuidEnd(text, start); end > 0 {
			return end
		}
	}
	if end := uuidEnd(text, start); end > 0 {
		return end
	}
	// "card4111111111111111", "tel0301234567"
	if w, _ := read(text[start:i]); w&^(notPersonal|versionWord|weakPhone|labelPhone|reachedAt|exampleWord) != 0 && letters > 1 {
		s.known = false
		if end := s.gather(i); s.chain.n > 0 && !(end < len(text) && isWord(text[end])) {
			s.known, s.knownBehind, s.words, s.glued = true, false, w, i
			end = s.windows(end)
			s.glued = -1
			return end
		}
	}
	return wordEnd(text, i)
}

// shaped says whether the text at i is as the pattern says, by itself.
func (s *scanner) shaped(i int, pattern string) bool {
	end := i + len(pattern)
	return end <= len(s.text) && !s.wordAt(end) && shaped(s.text[i:end], pattern) && s.left(i) != inside
}

// shaped says whether a text is as the pattern, which is as long, says: A for a
// letter, 9 for a digit, * for either, other signs for themselves.
func shaped(text []byte, pattern string) bool {
	for k, c := range text {
		switch pattern[k] {
		case 'A':
			if !isLetter(c) {
				return false
			}
		case '9':
			if !isDigit(c) {
				return false
			}
		case '*':
			if c == '_' || !isWord(c) {
				return false
			}
		default:
			if c != pattern[k] {
				return false
			}
		}
	}
	return true
}

// alone is what a number with letters needs to be a find without a word near:
// to be in capitals, and to be set off.
func (s *scanner) alone(start, end int) bool {
	for _, c := range s.text[start:end] {
		if c-'a' < 26 {
			return false
		}
	}
	return s.left(start) == apart && s.right(end) == apart
}

// about says whether the words before i speak of a kind.
func (s *scanner) about(i int, k kind) bool {
	s.known = false
	s.chain.groups[0].start = i
	near := s.near()
	s.known = false
	return near&bit(k) != 0
}

// found records what stands at start if it is set off or spoken of.
func (s *scanner) found(start, end int, k kind) int {
	if (s.alone(start, end) || s.about(start, k)) && s.add(start, end, k) {
		return end
	}
	return 0
}

// nie looks at a Spanish NIE (X1234567L) and a Singaporean NRIC (S1234567D).
func (s *scanner) nie(i int) int {
	if !s.shaped(i, "A9999999A") {
		return 0
	}
	d, last := s.text[i+1:i+8], s.text[i+8]&^0x20
	switch first := s.text[i] &^ 0x20; first {
	case 'X', 'Y', 'Z':
		if dniLetter(int(first-'X')*1e7+number(d)) == last {
			return s.found(i, i+9, esNIE)
		}
	case 'S', 'T', 'F', 'G', 'M':
		sum := weighted(d, 2, 7, 6, 5, 4, 3, 2)
		var want byte
		switch first {
		case 'S':
			want = "JZIHGFEDCBA"[sum%11]
		case 'T':
			want = "JZIHGFEDCBA"[(sum+4)%11]
		case 'F':
			want = "XWUTRQPNMLK"[sum%11]
		case 'G':
			want = "XWUTRQPNMLK"[(sum+4)%11]
		case 'M':
			want = "XWUTRQPNJLK"[(sum+3)%11]
		}
		if want == last {
			return s.found(i, i+9, sgNRIC)
		}
	}
	return 0
}

// ninoPrefix says whether National Insurance numbers begin with these letters
// (HMRC, National Insurance Manual NIM39110).
func ninoPrefix(a, b byte) bool {
	in := func(c byte, set string) bool {
		for i := range len(set) {
			if set[i] == c {
				return true
			}
		}
		return false
	}
	if !isLetter(a) || !isLetter(b) {
		return false
	}
	a, b = a&^0x20, b&^0x20
	if in(a, "DFIQUV") || in(b, "DFIQUVO") {
		return false
	}
	switch string([]byte{a, b}) {
	case "BG", "GB", "KN", "NK", "NT", "TN", "ZZ":
		return false
	}
	return true
}

// nino looks at a National Insurance number without spaces.
func (s *scanner) nino(i int) int {
	if !ninoPrefix(s.text[i], s.text[i+1]) {
		return 0
	}
	if s.shaped(i, "AA999999A") {
		if c := s.text[i+8] &^ 0x20; c >= 'A' && c <= 'D' {
			return s.found(i, i+9, ukNINO)
		}
		return 0
	}
	if s.shaped(i, "AA999999") && s.about(i, ukNINO) && s.add(i, i+8, ukNINO) {
		return i + 8
	}
	return 0
}

// spacedNINO looks at one whose digits are three groups: AB 12 34 56 C.
func (s *scanner) spacedNINO(w *window) int {
	text, i := s.text, w.start
	sep := s.chain.groups[w.first+1].sep
	if i < 3 || isWord(text[i-1]) || w.end+1 >= len(text) || s.uniform(w) != sep {
		return 0
	}
	start := i - 3
	if text[i-1] == 0xa0 { // the last byte of a no-break space
		start--
	}
	if start < 0 || !ninoPrefix(text[start], text[start+1]) || s.left(start) == inside {
		return 0
	}
	end := w.end
	if isLetter(text[end]) {
		end++
	} else if _, n := wideSeparator(text, end); text[end] == ' ' || text[end] == '-' {
		end += 2
	} else if n > 0 {
		end += n + 1
	} else {
		return 0
	}
	if end > len(text) || s.wordAt(end) || !isLetter(text[end-1]) {
		return 0
	}
	if c := text[end-1] &^ 0x20; c < 'A' || c > 'D' {
		return 0
	}
	return s.found(start, end, ukNINO)
}

// curp looks at a Mexican CURP (RENAPO, Instructivo normativo): its date, sex,
// and check digit over an alphabet with Ñ between N and O.
func (s *scanner) curp(i int) int {
	if !s.shaped(i, "AAAA999999AAAAAA*9") {
		return 0
	}
	t := s.text[i : i+18]
	if sex := t[10] &^ 0x20; !monthDay(two(t, 6), two(t, 8)) || sex != 'H' && sex != 'M' && sex != 'X' {
		return 0
	}
	sum := 0
	for k, c := range t[:17] {
		v := 0
		switch c |= 0x20; {
		case isDigit(c):
			v = int(c - '0')
		case c <= 'n':
			v = int(c-'a') + 10
		default:
			v = int(c-'a') + 11
		}
		sum += v * (18 - k)
	}
	if (10-sum%10)%10 != digit(t, 17) || !s.add(i, i+18, mxCURP) {
		return 0
	}
	return i + 18
}

// pan looks at an Indian PAN: the fourth letter says whose it is (Income Tax
// Department); P is a person, others are finds only where a word says so.
func (s *scanner) pan(i int) int {
	if !s.shaped(i, "AAAAA9999A") {
		return 0
	}
	switch s.text[i+3] &^ 0x20 {
	case 'P':
		return s.found(i, i+10, inPAN)
	case 'A', 'B', 'C', 'F', 'G', 'H', 'J', 'L', 'T', 'K':
		if s.about(i, inPAN) && s.add(i, i+10, inPAN) {
			return i + 10
		}
	}
	return 0
}

// fiscalCode looks at an Italian codice fiscale (D.M. 12 March 1974): the
// month's letter, the day (40 more for women) and the check letter. Digits may
// be replaced by letters where two people would have the same.
func (s *scanner) fiscalCode(i int) int {
	if !s.shaped(i, "AAAAAA**A**A***A") || !fiscalCheck(s.text[i:i+16]) || !s.add(i, i+16, itFiscalCode) {
		return 0
	}
	return i + 16
}

// behindLetters looks at what is spelled in groups, with a space and the first
// digit at i behind capitals: DE 89 3704..., RSS MRA 85T10 A562S.
func (s *scanner) behindLetters(i int) int {
	text := s.text
	if text[i-3]-'A' >= 26 {
		return 0
	}
	if i == 3 || !isWord(text[i-4]) {
		return s.iban(i - 3)
	}
	start, end := i-8, i+11
	if start < 0 || text[i-5] != ' ' || end > len(text) || text[i+5] != ' ' || s.wordAt(end) || s.left(start) == inside {
		return 0
	}
	var code [16]byte
	n := copy(code[:], text[start:i-5])
	n += copy(code[n:], text[i-4:i-1])
	n += copy(code[n:], text[i:i+5])
	copy(code[n:], text[i+6:end])
	if !shaped(code[:], "AAAAAA**A**A***A") || !fiscalCheck(code[:]) || !s.add(start, end, itFiscalCode) {
		return 0
	}
	return end
}

// fiscalCheck is of 16 letters and digits.
func fiscalCheck(t []byte) bool {
	const odd = "\x01\x00\x05\x07\x09\x0d\x0f\x11\x13\x15\x02\x04\x12\x14\x0b\x03\x06\x08\x0c\x0e\x10\x0a\x16\x19\x18\x17"
	sum := 0
	for k, c := range t[:15] {
		v := int(c - '0')
		if isLetter(c) {
			v = int(c | 0x20 - 'a')
		}
		if k%2 == 0 {
			v = int(odd[v])
		}
		sum += v
	}
	month := t[8] &^ 0x20
	known := false
	for _, m := range []byte("ABCDEHLMPRST") {
		known = known || m == month
	}
	if isDigit(t[9]) && isDigit(t[10]) {
		day := two(t, 9)
		known = known && day%40 >= 1 && day%40 <= 31 && day <= 71
	}
	return known && byte('A'+sum%26) == t[15]&^0x20
}

// cnpj looks at a Brazilian CNPJ with letters (Receita Federal, IN 2229/2024) at
// i, as it is printed: 12.ABC.345/01DE-35.
func (s *scanner) cnpj(i int) int {
	const printed = 18
	if i < 0 || !s.shaped(i, "**.***.***/****-99") {
		return 0
	}
	var d [14]byte
	n := 0
	for _, c := range s.text[i : i+printed] {
		if isWord(c) {
			d[n] = c
			n++
		}
	}
	if !cnpjLetters(d[:]) || !s.add(i, i+printed, brCNPJ) {
		return 0
	}
	return i + printed
}

// bareCNPJ looks at one without signs, which a word has to name.
func (s *scanner) bareCNPJ(i int) int {
	const size = 14
	if !s.wordAt(i+size-1) || !s.shaped(i, "************99") || !cnpjLetters(s.text[i:i+size]) || !s.about(i, brCNPJ) || !s.add(i, i+size, brCNPJ) {
		return 0
	}
	return i + size
}

// cnpjLetters is cnpjCheck for numbers with letters, which count as what their
// codes are more than that of 0. Those of digits alone are for id.
func cnpjLetters(d []byte) bool {
	letters := false
	for _, c := range d {
		if c-'a' < 26 {
			return false
		}
		letters = letters || isLetter(c)
	}
	return letters && cnpjCheck(d)
}

// hetu looks at a Finnish personal identity code (Digital and Population Data
// Services Agency): a date, the sign of the century, three digits and a check
// character.
func (s *scanner) hetu(start int, date []byte, i int) int {
	text := s.text
	if i+5 > len(text) || s.wordAt(i+5) || !isDigit(text[i+1]) || !isDigit(text[i+2]) || !isDigit(text[i+3]) || !isWord(text[i+4]) {
		return 0
	}
	switch c := text[i] &^ 0x20; {
	case text[i] == '-' || text[i] == '+':
	case c >= 'A' && c <= 'F' || c >= 'U' && c <= 'Y':
	default:
		return 0
	}
	n := 1000*number(date) + number(text[i+1:i+4])
	want := "0123456789ABCDEFHJKLMNPRSTUVWXY"[n%31]
	c := text[i+4]
	if isLetter(c) {
		c &^= 0x20
	}
	if c != want || !monthDay(two(date, 2), two(date, 0)) || number(text[i+1:i+4]) < 2 || !s.add(start, i+5, fiHETU) {
		return 0
	}
	return i + 5
}
