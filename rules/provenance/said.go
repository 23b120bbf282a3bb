package provenance

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode"

	"golang.org/x/net/publicsuffix"
)

// What the user and the configuration say counts in more forms than what results say, as
// people write for people: "acme/web#12" names an owner, a repository and an issue,
// "May 15th 2024" is 2024-05-15. None of these forms is one that leads elsewhere than what
// was written: nothing in a path becomes a host or an address.

// spoken notes what a word of the user's says besides itself.
func (r *reader) spoken(word []byte, has class) {
	if has&high != 0 {
		if bare := bytes.TrimFunc(word, ornament); len(bare) < len(word) {
			r.part(bare)
		}
		if has&(at|dot|slash|colon) == 0 && bytes.Contains(word, []byte("ß")) { // in a host it is another letter
			r.part(bytes.ReplaceAll(word, []byte("ß"), []byte("ss")))
		}
	}
	if has&digit != 0 {
		r.quantity(word)
	}
	if has&at == 0 && (has&(slash|sigil) != 0 || bytes.IndexByte(word, '\\') >= 0) {
		r.path(word)
	}
}

// ornament reports whether a rune may stand around a word like an emoji.
func ornament(c rune) bool { return c >= 0x80 && !unicode.In(c, unicode.L, unicode.M, unicode.N) }

// currencies are those of the codes that prompts write onto a number.
var currencies = func() map[string]bool {
	t := map[string]bool{}
	for _, code := range []string{"eur", "usd", "gbp", "chf", "jpy", "cny", "inr", "cad", "aud", "nzd", "sek", "nok", "dkk", "pln",
		"czk", "huf", "ron", "bgn", "try", "ils", "aed", "sar", "zar", "brl", "mxn", "sgd", "hkd", "krw", "thb", "idr", "php", "btc", "eth"} {
		t[code] = true
	}
	return t
}()

// quantity notes the number in a word that goes on behind it or before: 50EUR, 5%, 2nd, 12.5k.
func (r *reader) quantity(word []byte) {
	number := bytes.TrimRightFunc(word, func(c rune) bool { return c == '%' || 'a' <= c && c <= 'z' })
	unit := string(word[len(number):])
	if len(word) > 3 && currencies[string(word[:3])] {
		number, unit = word[3:], string(word[:3])
	}
	if len(number) == 0 || len(unit) == 0 || !isNumber(number) {
		return
	}
	switch unit {
	case "%", "st", "nd", "rd", "th":
		r.part(number)
	case "k":
		r.part(append(bytes.Clone(number), "e3"...))
	default:
		if currencies[unit] {
			r.part(number)
			r.part([]byte(unit))
		}
	}
}

// path notes the names in a path or in the path of a URL, and the first two together: the
// owner and repository of acme/web#12 and of https://github.com/acme/web/issues/12.
func (r *reader) path(word []byte) {
	sep := byte('/')
	web := hostOf(word) != nil
	switch {
	case web: // https://github.com/acme/web or without the scheme
		if i := bytes.Index(word, []byte("//")); i >= 0 {
			word = word[i+2:]
		}
		_, word, _ = bytes.Cut(word, []byte("/"))
		if end := bytes.IndexAny(word, "?#"); end >= 0 {
			word = word[:end]
		}
	case bytes.HasPrefix(word, []byte(`\\`)) || len(word) > 3 && word[1] == ':' && word[2] == '\\':
		sep = '\\'
	default:
		before, number, found := bytes.Cut(word, []byte("#"))
		if found && len(before) > 0 && classify(before)&^(fileClass|slash) == 0 {
			r.part(before)
			r.segment(number, web)
			word = before
		}
	}
	if bytes.IndexByte(word, sep) < 0 {
		if web {
			r.segment(word, web)
		}
		return
	}
	var first []byte
	i := 0
	for name := range bytes.SplitSeq(word, []byte{sep}) {
		r.segment(name, web)
		switch i++; {
		case i == 1:
			first = name
		case i == 2 && web && len(first) > 0 && len(name) > 0 && classify(first)&^nameClass == 0 && classify(name)&^fileClass == 0:
			r.part(word[:len(first)+1+len(name)])
		}
	}
}

// The names in a path are made of these characters, those of files also of dots, which are
// the only soft ones that divide no words.
const (
	nameClass = letter | high | digit | dash | mark
	fileClass = nameClass | dot | soft
)

// segment notes a name in a path, unless it could be taken for a host.
func (r *reader) segment(name []byte, web bool) {
	has := classify(name)
	if has&^fileClass != 0 || has&dot != 0 && (web || has&letter == 0 || hostName(name)) {
		return
	}
	r.part(name)
}

// hostName reports whether a name with a dot is rather that of a host than of a file.
func hostName(name []byte) bool {
	name = bytes.Trim(name, ".*_~`")
	ending := string(name[bytes.LastIndexByte(name, '.')+1:])
	switch ending {
	case "md", "py", "rs", "sh", "pl", "cc", "so", "ps", "ml", "zip", "mov", "app", "java", "st", "mk", "ps1":
		return false // which are domains too
	case "local", "localhost", "internal", "intranet", "lan", "corp", "home", "private", "onion", "test", "example", "invalid":
		return true
	}
	_, known := publicsuffix.PublicSuffix("x." + ending)
	return known
}

// phrase notes the date, time or amount that several words of the user's say from at on.
func (r *reader) phrase(text []byte, at int) {
	text = text[at:]
	if classes[text[0]]&digit == 0 && month(text) == 0 {
		return
	}
	r.amount(text)
	var words [4][]byte
	n := 0
	for word := range bytes.FieldsFuncSeq(text[:min(len(text), 64)], func(c rune) bool { return c == ' ' || c == ',' || c == '\n' }) {
		if words[n] = bytes.Trim(word, `.;:!?"'()`); string(word) == "of" {
			continue
		}
		if n++; n == len(words) {
			break
		}
	}
	if clock := clockTime(words[0], words[1]); clock != "" {
		r.part([]byte(clock))
		r.part([]byte(clock + ":00"))
	}
	if day, clock, ok := cutMoment(words[0]); ok {
		r.part(clock)
		words[0] = day
	}
	for _, day := range dates(words[0], words[1], words[2]) {
		r.part([]byte(day))
		if h, ok := r.m.joinedWhole([]byte(day)); ok { // as it is looked up
			r.note(h, nil, digit, said)
		}
	}
}

// amount notes the amount at the start of text whose thousands are set off by spaces: 1 234,50.
func (r *reader) amount(text []byte) {
	i := 0
	for i < len(text) && classes[text[i]]&digit != 0 {
		i++
	}
	number := append([]byte(nil), text[:i]...)
	if i > 3 {
		return
	}
	groups := 0
	for ; i+3 < len(text) && text[i] == ' ' && classify(text[i+1:i+4]) == digit; i += 4 {
		number = append(number, text[i+1:i+4]...)
		groups++
	}
	if groups == 0 || i+2 >= len(text) || text[i] != ',' && text[i] != '.' || classify(text[i+1:i+3]) != digit ||
		i+3 < len(text) && classes[text[i+3]]&(digit|letter) != 0 {
		return
	}
	r.part(append(append(number, '.'), text[i+1:i+3]...))
}

// month returns the number of the month whose name starts text, in full or as three or four
// letters.
func month(text []byte) int {
	end := 0
	for end < len(text) && classes[text[end]]&letter != 0 {
		end++
	}
	if end < 3 {
		return 0
	}
	name := string(text[:end])
	for i, full := range [...]string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"} {
		if name == full || end <= 4 && name == full[:min(end, len(full))] {
			return i + 1
		}
	}
	return 0
}

// dates returns the dates that three words, or the first alone, may say.
func dates(a, b, c []byte) (days []string) {
	add := func(year, month, day int) {
		if 1000 <= year && year <= 9999 && 1 <= month && month <= 12 && 1 <= day && day <= 31 {
			days = append(days, fmt.Sprintf("%04d-%02d-%02d", year, month, day))
		}
	}
	if m := month(a); m > 0 {
		add(small(c), m, ordinal(b))
	} else if m := month(b); m > 0 {
		add(small(c), m, ordinal(a))
	}
	for _, sep := range []string{"/", ".", "-"} {
		p := bytes.Split(a, []byte(sep))
		if len(p) != 3 {
			continue
		}
		x, y, z := small(p[0]), small(p[1]), small(p[2])
		add(x, y, z)
		add(z, y, x)
		if sep == "/" && x != y {
			add(z, x, y) // the month first
		}
	}
	return days
}

// small returns the number that a word of at most four digits is, or -1.
func small(word []byte) int {
	if len(word) == 0 || len(word) > 4 || classify(word) != digit {
		return -1
	}
	n, _ := strconv.Atoi(string(word))
	return n
}

// ordinal returns the number that a word is, also with an ending such as th.
func ordinal(word []byte) int {
	if n := len(word) - 2; n > 0 {
		switch string(word[n:]) {
		case "st", "nd", "rd", "th":
			word = word[:n]
		}
	}
	return small(word)
}

// clockTime returns the time of day that two words, or the first alone, say, as 15:04.
func clockTime(a, b []byte) string {
	half := func(word []byte) int {
		switch string(word) {
		case "am", "a.m":
			return 0
		case "pm", "p.m":
			return 12
		}
		return -1
	}
	later := half(b)
	if n := len(a) - 2; n > 0 && half(a[n:]) >= 0 {
		a, later = a[:n], half(a[n:])
	}
	hours, minutes, found := bytes.Cut(a, []byte(":"))
	h, m := small(hours), 0
	if found {
		m = small(minutes)
		if len(minutes) != 2 {
			return ""
		}
	} else if later < 0 {
		return ""
	}
	if later >= 0 {
		if h < 1 || h > 12 {
			return ""
		}
		h = h%12 + later
	}
	if h < 0 || h > 23 || m < 0 || m > 59 {
		return ""
	}
	return fmt.Sprintf("%02d:%02d", h, m)
}

// cutMoment cuts 2024-05-15t10:00:00z into its date and its time, without seconds that are
// none and without the zone.
func cutMoment(text []byte) (day, clock []byte, ok bool) {
	const date = len("2024-05-15")
	if len(text) < date+len("t10:00") || text[4] != '-' || text[7] != '-' || text[date] != 't' && text[date] != ' ' {
		return nil, nil, false
	}
	day, clock = text[:date], text[date+1:]
	clock = bytes.TrimSuffix(clock, []byte("z"))
	if i := bytes.IndexAny(clock, "+-"); i > 0 {
		clock = clock[:i]
	}
	if whole, fraction, found := bytes.Cut(clock, []byte(".")); found && len(bytes.Trim(fraction, "0")) == 0 {
		clock = whole
	}
	if len(clock) == len("10:00:00") {
		clock = bytes.TrimSuffix(clock, []byte(":00"))
	}
	ok = classify(day)&^(digit|dash) == 0 && classify(clock)&^(digit|colon|soft|delim) == 0 && len(clock) >= len("10:00") && clock[2] == ':'
	return day, clock, ok
}

// moment returns where the user said the date and the time of text, if it is such and both
// were said: they can be put together in only one way.
func (m *Memory) moment(text []byte) (kinds uint8, sources uint16) {
	day, clock, ok := cutMoment(bytes.TrimSpace(text))
	if !ok {
		return 0, 0
	}
	for _, part := range [][]byte{day, clock} {
		e := m.entries.at(m.find(m.canonical(part, classify(part))))
		if e.kinds&(1<<said) == 0 {
			return 0, 0
		}
		kinds, sources = 1<<said, m.union(sources, e.sources)
	}
	return kinds, sources
}
