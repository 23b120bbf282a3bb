package pii

// The checks take ASCII digits, as many as their caller has counted.

// luhn is the checksum of ISO/IEC 7812-1.
func luhn(d []byte) bool {
	sum, double := 0, false
	for i := len(d) - 1; i >= 0; i-- {
		n := int(d[i] - '0')
		if double {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
		double = !double
	}
	return sum%10 == 0 && !same(d)
}

// same says whether all digits are equal: a placeholder.
func same(d []byte) bool {
	for _, c := range d {
		if c != d[0] {
			return false
		}
	}
	return true
}

// weighted returns the sum of the digits, each times its weight.
func weighted(d []byte, weights ...int) int {
	sum := 0
	for i, w := range weights {
		sum += w * int(d[i]-'0')
	}
	return sum
}

func digit(d []byte, i int) int { return int(d[i] - '0') }

func two(d []byte, i int) int { return 10*digit(d, i) + digit(d, i+1) }

// number returns the value of at most 18 digits.
func number(d []byte) int {
	n := 0
	for _, c := range d {
		n = 10*n + int(c-'0')
	}
	return n
}

// monthDay says whether a day of that month exists in some year.
func monthDay(month, day int) bool {
	if month < 1 || month > 12 || day < 1 {
		return false
	}
	return day <= [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
}

// iso7064 is the check of ISO/IEC 7064 MOD 11,10 over all digits.
func iso7064(d []byte) bool {
	p := 10
	for _, c := range d[:len(d)-1] {
		if p = (p + int(c-'0')) % 10; p == 0 {
			p = 10
		}
		p = 2 * p % 11
	}
	return (p+digit(d, len(d)-1))%10 == 1
}

// verhoeff is Verhoeff's check (J. Verhoeff, Error Detecting Decimal Codes, 1969).
func verhoeff(d []byte) bool {
	c := 0
	for i := range d {
		n := digit(d, len(d)-1-i)
		for range i % 8 {
			n = int("1576283094"[n] - '0')
		}
		c = dihedral(c, n)
	}
	return c == 0
}

// dihedral multiplies in the dihedral group of ten elements.
func dihedral(a, b int) int {
	switch {
	case a < 5 && b < 5:
		return (a + b) % 5
	case a < 5:
		return 5 + (a+b-5)%5
	case b < 5:
		return 5 + (a-5-b+5)%5
	}
	return (a - b + 5) % 5
}

// mod97 is the check of ISO/IEC 7064 MOD 97-10 as IBANs use it: over the
// letters and digits with the first four moved to the end.
func mod97(s []byte) bool {
	rest := 0
	for i := range s {
		switch c := s[(i+4)%len(s)]; {
		case isDigit(c):
			rest = (10*rest + int(c-'0')) % 97
		default:
			rest = (100*rest + int(c|0x20-'a') + 10) % 97
		}
	}
	return rest == 1
}
