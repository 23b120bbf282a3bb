package pii

// form is a way of writing an id.
type form struct {
	shape uint64 // the sizes of the groups, a hexadecimal digit each
	seps  string // what stands between them; empty for one sign throughout
	alone bool   // is a find without a word near
}

// id is an id of a fixed number of digits.
type id struct {
	kind  kind
	forms []form
	check func([]byte) bool
}

// ids are by their number of digits. Sources: the issuers' own publications,
// named at the checks.
var ids = [20][]id{
	8: {
		{auTFN, []form{{0x8, "", false}, {0x233, "", false}, {0x332, "", false}}, tfnCheck},
		{clRUT, []form{{0x71, "-", false}, {0x1331, "..-", true}}, rutCheck},
	},
	9: {
		{ssn, []form{{0x324, "--", true}, {0x324, "", false}, {0x9, "", false}}, ssnCheck},
		{clRUT, []form{{0x81, "-", false}, {0x2331, "..-", true}}, rutCheck},
		{caSIN, []form{{0x9, "", false}, {0x333, "", false}}, sinCheck},
		{nlBSN, []form{{0x9, "", false}, {0x423, "", false}, {0x333, "", false}}, bsnCheck},
		{ptNIF, []form{{0x9, "", false}, {0x333, "", false}}, nifCheck},
		{auTFN, []form{{0x9, "", false}, {0x333, "", false}}, tfnCheck},
		{ilID, []form{{0x9, "", false}, {0x81, "-", false}, {0x171, "-", false}, {0x333, "", false}}, luhn},
	},
	10: {
		{ukNHS, []form{{0xa, "", false}, {0x334, "", false}}, nhsCheck},
		{sePersonnummer, []form{{0x64, "-", true}, {0xa, "", false}}, personnummerCheck},
		{dkCPR, []form{{0x64, "", false}, {0xa, "", false}}, cprCheck},
		{auMedicare, []form{{0xa, "", false}, {0x451, "", false}}, medicareCheck},
	},
	11: {
		{noFodselsnummer, []form{{0xb, "", true}, {0x65, "", true}}, fodselsnummerCheck},
		{brCPF, []form{{0x3332, "..-", true}, {0x3332, "", false}, {0x92, "", false}, {0xb, "", false}}, cpfCheck},
		{arCUIT, []form{{0x281, "", true}, {0xb, "", false}}, cuitCheck},
		{beNRN, []form{{0x22232, "..-.", true}, {0x632, "", true}, {0x65, "", true}, {0xb, "", true}}, nrnCheck},
		{deTaxID, []form{{0x2333, "", true}, {0xb, "", false}, {0x236, "", false}}, taxIDCheck},
		{plPESEL, []form{{0xb, "", false}, {0x65, "", false}}, peselCheck},
		{trTCKN, []form{{0xb, "", false}, {0x3332, "", false}, {0x344, "", false}}, tcknCheck},
		{auMedicare, []form{{0xb, "", false}, {0x4511, "", false}}, medicareCheck},
	},
	12: {
		{sePersonnummer, []form{{0x84, "-", true}, {0xc, "", false}}, func(d []byte) bool { return personnummerCheck(d[2:]) }},
		{inAadhaar, []form{{0xc, "", false}, {0x444, "", false}}, aadhaarCheck},
		{jpMyNumber, []form{{0xc, "", false}, {0x444, "", false}}, myNumberCheck},
	},
	13: {
		{chAHV, []form{{0xd, "", true}, {0x3442, "", true}}, ahvCheck},
		{krRRN, []form{{0x67, "-", true}, {0xd, "", false}}, rrnCheck},
		{zaID, []form{{0xd, "", false}, {0x643, "", true}, {0x6421, "", true}, {0x6412, "", true}}, zaCheck},
	},
	14: {{brCNPJ, []form{{0x23342, "../-", true}, {0x842, "/-", true}, {0xe, "", false}}, cnpjCheck}},
	15: {{frNIR, []form{{0xf, "", true}, {0xd2, "", true}, {0x1222332, "", true}, {0x12223320, "", true}}, nirCheck}},
	18: {{cnResidentID, []form{{0xf, "", true}, {0x684, "", true}, {0x6444, "", true}, {0x666, "", true}}, residentCheck}},
}

// known says whether an id of n digits is written in groups of that shape, or
// is when its letter is added.
func known(n int, shape uint64) bool {
	if n == 8 && (shape == 0x8 || shape == 0x233) {
		return true
	}
	for i := range ids[n] {
		for _, f := range ids[n][i].forms {
			if f.shape == shape {
				return true
			}
		}
	}
	return false
}

// id looks at the window as an id that has digits only. Of several that it may
// be, it is the one that a word near it names.
func (s *scanner) id(w *window) bool {
	unnamed := kindCount
	for i := range ids[len(w.digits)] {
		e := &ids[len(w.digits)][i]
		if s.d.types>>e.kind&1 == 0 {
			continue
		}
		for _, f := range e.forms {
			if f.shape != w.shape || f.seps != "" && !s.seps(w, f.seps) || f.seps == "" && w.last > w.first && s.uniform(w) == '?' {
				continue
			}
			if !e.check(w.digits) {
				break
			}
			near := s.near()
			if near&bit(e.kind) != 0 {
				return s.add(w.start, w.end, e.kind)
			}
			if unnamed == kindCount && f.alone && w.left == apart && w.right == apart && near&notPersonal == 0 {
				unnamed = e.kind
			}
			break
		}
	}
	return unnamed != kindCount && s.add(w.start, w.end, unnamed)
}

// suffixed looks at ids that end with a letter, or have letters before their
// last digits, and returns where one ends, or 0.
func (s *scanner) suffixed(w *window) int {
	text := s.text
	n := len(w.digits)
	if w.end >= len(text) || w.left == inside || n != 6 && n != 7 && n != 8 && n != 17 {
		return 0
	}
	end := w.end
	c := text[end]
	switch {
	case n == 6 && w.first == w.last:
		// Finland: 131052-308T is in two chains where the sign is not '-'.
		return s.hetu(w.start, w.digits, w.end)
	case n == 6 && w.shape == 0x222:
		return s.spacedNINO(w)
	case n == 17 && w.first == w.last && c|0x20 == 'x' && !s.wordAt(end+1):
		if residentCheck(append(w.digits[:17:17], 'X')) && s.add(w.start, end+1, cnResidentID) {
			return end + 1
		}
	case n == 7 || n == 8:
		dash := c == '-'
		if dash || c == ' ' {
			end++
		}
		if end >= len(text) || !isLetter(text[end]) || s.wordAt(end+1) {
			return 0
		}
		letter := text[end] &^ 0x20
		near := s.near()
		alone := near&notPersonal == 0 && text[end] == letter && c != ' ' && w.left == apart
		if letter == 'K' && dash && (w.shape == 0x7 || w.shape == 0x8 || w.shape == 0x133 || w.shape == 0x233) && rutCheck(append(w.digits[:n:n], 'K')) {
			if (near&bit(clRUT) != 0 || w.first < w.last) && s.add(w.start, end+1, clRUT) {
				return end + 1
			}
		}
		if n == 8 && (w.shape == 0x8 || w.shape == 0x233) && dniLetter(number(w.digits)) == letter {
			if (near&bit(esDNI) != 0 || alone) && s.add(w.start, end+1, esDNI) {
				return end + 1
			}
		}
		if n == 7 && w.first == w.last && w.start >= 2 && (text[w.start-1] == '-' || text[w.start-1] == ' ') {
			first := text[w.start-2] &^ 0x20
			if first >= 'X' && first <= 'Z' && (w.start < 3 || !isWord(text[w.start-3])) &&
				dniLetter(int(first-'X')*1e7+number(w.digits)) == letter && s.add(w.start-2, end+1, esNIE) {
				return end + 1
			}
		}
	}
	return 0
}

func (s *scanner) wordAt(i int) bool { return i < len(s.text) && isWord(s.text[i]) }
