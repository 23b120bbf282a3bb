package pii

// hasPlus says whether a '+' stands before the group, as in +44 or (+44).
func (s *scanner) hasPlus(first int) bool {
	i := s.chain.groups[first].start
	return i > 0 && (s.text[i-1] == '+' || i >= 3 && string(s.text[i-3:i]) == "\uff0b")
}

// phone looks at the telephone number that begins with the group first. It
// returns its last group, or -1, and where in the text it ends.
//
// What is one:
//   - + and a country calling code (or 00, 011 and the code), and then a number
//     of that country's plan, or, in groups, near a word that speaks of
//     telephones or of 11 digits and more, one of a length that the plan has;
//   - 7 to 15 digits near such a word, unless they are a date; near a word that
//     is also used otherwise ("call", "office") they have to be in groups, or
//     it is put so that it can be nothing else ("Office: 2125550123",
//     "call me at 2125550123", "text 2125550123");
//   - a national number of one of Options.Regions, without any word, if it is
//     written in groups as that country writes it.
func (s *scanner) phone(first int, plus bool) (last, end int) {
	c := &s.chain
	if s.d.types>>phone&1 == 0 {
		return -1, 0
	}
	total := c.groups[c.n-1].at + c.groups[c.n-1].n - c.groups[first].at
	if total < 6 {
		return -1, 0
	}
	start := c.groups[first].start
	opened := start > 0 && s.text[start-1] == '('
	if plus {
		start--
		if s.text[start] != '+' {
			start -= 2
		}
	}
	if opened {
		start--
	}
	left := s.left(start)
	if left == inside {
		return -1, 0
	}
	digits := c.digits[c.groups[first].at:]
	switch {
	case plus:
		if last, end := s.abroad(first, start, 0); last >= 0 || s.near()&bit(phone) == 0 {
			return last, end
		}
	case c.groups[first].n >= 2 && digits[0] == '0' && digits[1] == '0':
		if last, end := s.abroad(first, start, 2); last >= 0 {
			return last, end
		}
	case c.groups[first].n >= 3 && digits[0] == '0' && digits[1] == '1' && digits[2] == '1':
		if last, end := s.abroad(first, start, 3); last >= 0 {
			return last, end
		}
	}
	// Without a word, groups that begin with 0 or a digit dialled before long
	// distance count, those of three, and what is in parentheses.
	g := &c.groups[first]
	if (s.near()|s.behind())&(bit(phone)|weakPhone) == 0 && digits[0] != '0' && g.n != 3 && (g.n != 1 || digits[0] != '1' && digits[0] != '8') && !opened {
		return -1, 0
	}
	return s.national(first, start, left, opened)
}

// abroad looks at an international number, whose first skip digits are the
// prefix that is dialled for one.
func (s *scanner) abroad(first, start, skip int) (last, end int) {
	c := &s.chain
	t := plans()
	likely := -1
	for last := min(c.n, first+9) - 1; last >= first; last-- {
		g := &c.groups[last]
		if g.at+g.n-c.groups[first].at > 18+skip || s.right(g.end) == inside && extension(s.text, g.end) == g.end {
			continue
		}
		var buf [32]byte
		number := buf[:0]
		for k := first; k <= last; k++ {
			// +44 (0)20: the 0 is dialled only inside the country.
			if g := &c.groups[k]; k == first || g.n != 1 || g.sep != '(' || c.digits[g.at] != '0' {
				number = append(number, c.digits[g.at:g.at+g.n]...)
			}
		}
		p, national := t.split(number[min(skip, len(number)):])
		if p.start == 0 || len(national) < 4 || same(national) {
			continue
		}
		if p == t.codes[52] && len(national) == 11 && national[0] == '1' {
			national = national[1:] // dialled before Mexico's mobile numbers until 2019
		}
		if t.valid(p, national) && (skip == 0 || last > first || s.near()&bit(phone) != 0) {
			return s.dialled(first, start, last)
		}
		if likely < 0 && p.possible(len(national)) {
			likely = last
		}
	}
	if likely < 0 {
		return -1, 0
	}
	near := s.near() & (bit(phone) | weakPhone)
	n := c.groups[likely].at + c.groups[likely].n - c.groups[first].at
	if likely > first && (skip == 0 || near != 0 || likely-first >= 3) ||
		likely == first && (near&bit(phone) != 0 || skip == 0 && (near != 0 || n >= 11)) {
		return s.dialled(first, start, likely)
	}
	return -1, 0
}

// national looks at a number as it is written inside a country.
func (s *scanner) national(first, start int, left bound, opened bool) (last, end int) {
	c := &s.chain
	for last := min(c.n, first+7) - 1; last >= first; last-- {
		n := c.groups[last].at + c.groups[last].n - c.groups[first].at
		if n < 6 {
			break
		}
		if n < 2*(last-first)+1 || n > 15 {
			continue
		}
		w := s.window(first, last)
		w.start = start
		if w.left != inside || start < s.chain.groups[first].start {
			w.left = left
		}
		if n < 7 && w.shape != 0x222 {
			break
		}
		if w.right == inside && extension(s.text, w.end) > w.end {
			w.right = apart
		}
		near := s.near()
		if near&bit(phone) == 0 {
			near |= s.behind()
		}
		if n == 6 && (near&(bit(phone)|weakPhone) == 0 || s.uniform(&w) != ' ') {
			break // Greenland's numbers, also dates and amounts
		}
		if w.left == inside || w.right == inside || same(w.digits) {
			continue
		}
		grouped := first < last || opened
		switch {
		case near&bit(phone) != 0 && !s.calendar(&w):
			if near&notPersonal != 0 && !grouped {
				continue
			}
		case near&labelPhone != 0 && n >= 9 && !s.calendar(&w):
		case near&weakPhone != 0 && grouped && s.spaced(&w):
		case near&weakPhone != 0 && near&reachedAt != 0 && n >= 8 && n <= 12 && !s.calendar(&w) && (w.digits[0] != '1' || n == 11 && s.bare(w.digits)):
		case near&dialWord != 0 && n >= 9 && n <= 12 && (w.digits[0] != '1' || n == 11) && start >= 2 && s.text[start-1] == ' ' && isLetter(s.text[start-2]) && s.bare(w.digits):
		case grouped && w.left == apart && w.right == apart && near&notPersonal == 0 && s.written(&w, opened):
		default:
			continue
		}
		return s.dialled(first, start, last)
	}
	return -1, 0
}

// calendar says whether the digits are a date without separators.
func (s *scanner) calendar(w *window) bool {
	d := w.digits
	return w.first == w.last && (len(d) == 8 || len(d) == 14) && (two(d, 0) == 19 || two(d, 0) == 20) && monthDay(two(d, 4), two(d, 6))
}

// spaced says whether the groups are those of a telephone number rather than
// of an amount or of a range.
func (s *scanner) spaced(w *window) bool {
	sep := s.uniform(w)
	if sep == '.' {
		return w.shape == 0x334 || w.shape == 0x22222
	}
	if w.last > w.first && sep == '-' && w.last == w.first+1 && len(w.digits) > 8 && w.digits[0] != '0' {
		return false
	}
	return sep != '/' || w.digits[0] == '0'
}

// written says whether the number is written as one of the regions writes its
// own, and is in that region's plan.
func (s *scanner) written(w *window, opened bool) bool {
	d := w.digits
	t := plans()
	sep := s.uniform(w)
	for _, r := range s.d.regions {
		p := t.codes[r.code]
		switch {
		case r.code == 1:
			// (212) 555-0123, 212-555-0123, 212.555.0123, 212/555-0123, 1-212-555-0123, 1 (212) 555-0123
			national, area := d, w.first
			if w.shape == 0x1334 && d[0] == '1' {
				national, area = d[1:], w.first+1
			} else if w.shape != 0x334 {
				continue
			}
			// Nothing else is written so: areas that are not given out count as well.
			inParentheses := opened || area > w.first && s.chain.groups[area].sep == '('
			if inParentheses && sep != ' ' || extension(s.text, w.end) > w.end {
				return true
			}
			if (sep == '-' || sep == '.' || s.seps(w, "/-")) && national[0] >= '2' && national[3] >= '2' {
				return true
			}
		case r.code == 7:
			// 8 (916) 123-45-67
			if w.shape == 0x13322 && d[0] == '8' && s.chain.groups[w.first+1].sep == '(' && t.valid(p, d[1:]) {
				return true
			}
		case r.code == 55 && opened:
			// (11) 91234-5678
			if (w.shape == 0x254 || w.shape == 0x244) && t.valid(p, d) {
				return true
			}
		case r.code == 86 && d[0] == '1':
			// 138 0013 8000, 138-0013-8000
			if w.shape == 0x344 && (sep == ' ' || sep == '-') && t.valid(p, d) {
				return true
			}
		case r.prefix == "0" && d[0] == '0' && w.last > w.first && w.last-w.first < 6:
			// 020 7946 0018, (030) 123456, 030/123456, 06 12 34 56 78
			if sep == '?' && !opened || sep == '.' && w.shape != 0x22222 && w.shape != 0x433 || sep == '/' && w.last > w.first+1 {
				continue
			}
			if s.chain.groups[w.first].n >= 2 && s.smallest(w) >= 2 && t.valid(p, d[1:]) {
				return true
			}
		}
	}
	return false
}

// bare says whether the digits are in the plan of one of the regions, with or
// without what is dialled before a number there.
func (s *scanner) bare(d []byte) bool {
	t := plans()
	for _, r := range s.d.regions {
		n := len(r.prefix)
		if p := t.codes[r.code]; t.valid(p, d) || n > 0 && n < len(d) && string(d[:n]) == r.prefix && t.valid(p, d[n:]) {
			return true
		}
	}
	return false
}

func (s *scanner) smallest(w *window) int {
	n := maxDigits
	for _, g := range s.chain.groups[w.first : w.last+1] {
		n = min(n, g.n)
	}
	return n
}

// dialled records a number that begins at start and ends with the group last,
// and with its extension.
func (s *scanner) dialled(first, start, last int) (int, int) {
	end := s.chain.groups[last].end
	end = extension(s.text, end)
	if !s.add(start, end, phone) {
		return -1, 0
	}
	return last, end
}

// extension returns where "x12", "ext. 12" or ";ext=12" behind i ends, or i.
func extension(text []byte, i int) int {
	p := i
	for p < len(text) && p < i+2 && (text[p] == ' ' || text[p] == ',' || text[p] == ';') {
		p++
	}
	word := p
	for p < len(text) && isLetter(text[p]) && p-word < 10 {
		p++
	}
	var buf [10]byte
	name := buf[:copy(buf[:], text[word:p])]
	for k := range name {
		name[k] |= 0x20
	}
	switch string(name) {
	case "x", "ext", "extn", "extension", "durchwahl", "poste", "int", "interno", "ramal":
	case "":
		if p >= len(text) || text[p] != '#' {
			return i
		}
	default:
		return i
	}
	for q := p; p < len(text) && p < q+3 && (text[p] == '.' || text[p] == ' ' || text[p] == ':' || text[p] == '=' || text[p] == '#'); {
		p++
	}
	n := p
	for p < len(text) && isDigit(text[p]) {
		p++
	}
	if p == n || p-n > 7 || p < len(text) && isWord(text[p]) {
		return i
	}
	return p
}
