package pii

// card looks at a payment card number: a range of an issuer (ISO/IEC 7812 as
// the schemes publish theirs), a length that the issuer uses, and Luhn's digit.
//
// A random number of 16 digits passes that in 2 of 100 cases. Where the number
// is written in the groups that are printed on cards, or a word near it speaks
// of cards, it is a find. A bare run of digits is one too if the length is the
// usual one of its issuer, unless its name says that it is an id or a time:
// a card that is missed costs more than an id that is masked.
func (s *scanner) card(w *window) bool {
	if s.d.types>>creditCard&1 == 0 {
		return false
	}
	usual, ok := issuer(w.digits)
	// Near a word, issuers that are not in the table count as well.
	spoken := ok || len(w.digits) >= 14 && w.digits[0] >= '2' && w.digits[0] <= '6'
	if !spoken || !luhn(w.digits) {
		return false
	}
	if s.steps(w) {
		return false
	}
	apart := w.left == apart && w.right == apart
	if ok && apart && s.printed(w) {
		return s.add(w.start, w.end, creditCard)
	}
	near := s.near()
	switch {
	case near&bit(creditCard) != 0:
	case !ok || !apart || !usual:
		return false
	case w.first == w.last:
		if near&(notPersonal|bit(phone)|weakPhone) != 0 {
			return false
		}
	case w.first > 0 || w.last < s.chain.n-1 || len(w.digits) < 15:
		return false // other groups count if all the number is in them
	}
	return s.add(w.start, w.end, creditCard)
}

// steps says whether the groups count up or down, as the heads of a table do.
func (s *scanner) steps(w *window) bool {
	if w.shape>>8 == 0 {
		return false
	}
	value := func(k int) int {
		g := &s.chain.groups[k]
		return number(s.chain.digits[g.at : g.at+g.n])
	}
	step := value(w.first+1) - value(w.first)
	for k := w.first + 1; k < w.last; k++ {
		if value(k+1)-value(k) != step {
			return false
		}
	}
	return step == 1 || step == -1
}

// printed says whether the groups are those that cards have.
func (s *scanner) printed(w *window) bool {
	if w.shape != 0x4444 && w.shape != 0x465 && w.shape != 0x464 && w.shape != 0x44443 {
		return false
	}
	sep := s.uniform(w)
	return sep == ' ' || sep == '-' || sep == '.'
}

// issuer says whether a scheme has numbers that begin so and are so long, and
// whether that is what its cards have today.
func issuer(d []byte) (usual, ok bool) {
	n := len(d)
	if n < 12 || n > 19 || d[0] < '1' || d[0] == '7' {
		return false, false
	}
	p6 := number(d[:6])
	p4, p3, p2 := p6/100, p6/1000, p6/10000
	long := n >= 16
	switch {
	case p2/10 == 4: // Visa
		return n == 16, n == 13 || n == 16 || n == 19
	case p2 >= 51 && p2 <= 55, p4 >= 2221 && p4 <= 2720: // Mastercard
		return true, n == 16
	case p2 == 34, p2 == 37: // American Express
		return true, n == 15
	case p4 >= 3528 && p4 <= 3589: // JCB
		return n == 16, long
	case p4 == 1800, p4 == 2131: // JCB's first cards
		return false, n == 15
	case p3 >= 300 && p3 <= 305, p4 == 3095, p2 == 36, p2 == 38, p2 == 39: // Diners Club
		return n == 14, n == 14 || long
	case p4 >= 2200 && p4 <= 2204: // Mir
		return n == 16, long
	case p4 == 9792: // Troy
		return true, n == 16
	case p4 == 6011, p3 >= 644 && p3 <= 649, p2 == 65: // Discover, RuPay, Elo, Verve
		return n == 16, long
	case p2 == 62, p2 == 81, p2 == 82: // UnionPay, RuPay
		return n == 16 || n == 19 && p2 == 62, long
	case p2 == 50, p2 >= 56 && p2 <= 58, p2/10 == 6: // Maestro and national debit cards
		usual := p4 == 5018 || p4 == 5020 || p4 == 5038 || p4 == 6304 || p4 >= 6759 && p4 <= 6763 ||
			p6 >= 506099 && p6 <= 506198 || p6 >= 508500 && p6 <= 508999 || // Verve, RuPay
			p6 >= 506699 && p6 <= 506778 || p4 >= 5090 && p4 <= 5099 || // Elo
			p6 >= 606985 && p6 <= 608499 || p6 == 606282 || p6 == 637095 // RuPay, Hipercard
		return n == 16 && usual, true
	}
	return false, false
}
