package pii

// ibanLengths is the registry of ISO 13616 (SWIFT IBAN Registry, release 99):
// two letters and the length, ordered.
const ibanLengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27" +
	"GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27" +
	"MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30"

// ibanLength returns how long the IBANs of a country are, 0 for no country.
func ibanLength(a, b byte) int {
	a, b = a&^0x20, b&^0x20
	for i := 0; i < len(ibanLengths); i += 4 {
		if ibanLengths[i] == a && ibanLengths[i+1] == b {
			return 10*int(ibanLengths[i+2]-'0') + int(ibanLengths[i+3]-'0')
		}
	}
	return 0
}

// iban looks at the IBAN that begins with two letters at i, and returns where
// it ends, or 0. Its groups may be separated by a dash or dot each, by spaces or
// by line breaks, also the letters from what follows. One that may be in
// hexadecimal, in lower case, needs a word that says what it is.
func (s *scanner) iban(i int) int {
	text := s.text
	if i+15 > len(text) {
		return 0
	}
	want := ibanLength(text[i], text[i+1])
	if want == 0 {
		return 0
	}
	var buf [40]byte
	n, p, sep := 0, i, byte(0)
	for n < want && p < len(text) {
		if d, size := digitAt(text, p); size > 0 {
			buf[n] = d
			n++
			p += size
			continue
		}
		if n < 2 || n >= 4 {
			if isLetter(text[p]) {
				buf[n] = text[p]
				n++
				p++
				continue
			}
		}
		if z := zeroWidth(text, p); z > 0 {
			p += z
			continue
		}
		c, size := byte(0), 1
		switch text[p] {
		case ' ', '\n', '\r':
			c = ' '
			for size < 4 && p+size < len(text) && (text[p+size] == ' ' || text[p+size] == '\n') {
				size++
			}
		case '-', '.':
			c = text[p]
		default:
			if text[p] < 0x80 {
				return 0
			}
			if c, size = wideSeparator(text, p); size == 0 {
				return 0
			}
		}
		if n < 2 || n == 3 || n == 2 && c != ' ' || sep != 0 && sep != c || c == '/' || c == '(' {
			return 0
		}
		sep = c
		p += size
		if p < len(text) && !isLetter(text[p]) {
			if _, d := digitAt(text, p); d == 0 {
				return 0
			}
		}
	}
	if n < want || p < len(text) && isWord(text[p]) || !mod97(buf[:n]) {
		return 0
	}
	if hexLower(buf[:n]) && !s.about(i, iban) || !s.add(i, p, iban) {
		return 0
	}
	return p
}

// hexLower says whether an IBAN may be a number in hexadecimal, in lower case,
// which is unlikely to have two letters only.
func hexLower(b []byte) bool {
	letters := 0
	for _, c := range b {
		if !isHex(c) || c-'A' < 26 {
			return false
		}
		if isLetter(c) {
			letters++
		}
	}
	return letters > 2
}
