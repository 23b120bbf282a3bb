package pii

import (
	"bytes"
	"sync"
)

// words is a set of what the words near a number speak of: bit k for kind k,
// and the ones below.
type words uint64

const (
	dialWord    words = 1 << 57 // "call", "text" just before the number
	exampleWord words = 1 << 58 // what follows is an example
	reachedAt   words = 1 << 59 // "at", "on", "to" just before the number
	labelPhone  words = 1 << 60 // a word that is a label of a telephone number
	weakPhone   words = 1 << 61 // a word of telephones that has other meanings
	notPersonal words = 1 << 62 // an id, a time or a size
	versionWord words = 1 << 63
)

func bit(k kind) words { return 1 << k }

// How far words may be from a number, in bytes.
const (
	wordsBefore = 56
	wordsBehind = 16
)

// dictionary finds what a word or a pair of words speaks of.
type dictionary struct {
	words map[string]words // in lower case
	// foreign are those in scripts without spaces, looked for anywhere.
	foreign []struct {
		text []byte
		is   words
	}
	// may is a filter: bit (a+8b) of the word's first and last letters, so that
	// most words are not looked up.
	may [32]uint32
}

var dict = sync.OnceValue(func() *dictionary {
	d := &dictionary{words: map[string]words{}}
	for _, e := range vocabulary {
		for _, w := range bytes.Split([]byte(e.words), []byte(", ")) {
			if e.anywhere {
				d.foreign = append(d.foreign, struct {
					text []byte
					is   words
				}{w, e.is})
				continue
			}
			d.words[string(w)] |= e.is
			d.may[w[0]&31] |= 1 << (w[len(w)-1] & 31)
		}
	}
	return d
})

// near returns what the words before the chain speak of.
//
// The name of a JSON member ("phone": 5551234567) speaks for its value alone,
// unless it says nothing itself ("value", "number"). Other numbers are spoken
// of by what stands before them on their line, or on the line before if they
// begin one.
func (s *scanner) near() words {
	if s.known {
		return s.words
	}
	s.known = true
	i := s.chain.groups[0].start
	if name, ok := memberName(s.text, i); ok {
		var general bool
		s.words, general = read(name)
		s.words &^= dialWord
		if !general {
			return s.words
		}
		// What stands before tells, but not that it is an id.
		w, _ := read(before(s.text, i))
		s.words |= w &^ (notPersonal | labelPhone | dialWord)
		return s.words
	}
	t := before(s.text, i)
	s.words, _ = read(t)
	if t = bytes.TrimRight(t, " \t\r\n'\"(+"); len(t) == 0 || t[len(t)-1] != ':' {
		s.words &^= labelPhone
	}
	return s.words
}

// behind returns what the words behind the chain speak of, as in "555 1234
// office".
func (s *scanner) behind() words {
	if s.knownBehind {
		return s.wordsBehind
	}
	s.knownBehind, s.wordsBehind = true, 0
	i := s.chain.groups[s.chain.n-1].end
	end := i
	letters := false
	for end < len(s.text) && end < i+wordsBehind {
		c := s.text[end]
		if c == '\n' || c == ',' || c == ';' || c == '"' || isDigit(c) {
			break
		}
		letters = letters || c >= 'A'
		end++
	}
	if !letters {
		return 0
	}
	if end == i+wordsBehind && end < len(s.text) && isLetter(s.text[end]) {
		for end > i && isLetter(s.text[end-1]) {
			end--
		}
	}
	w, _ := read(s.text[i:end])
	s.wordsBehind = w & (bit(phone) | weakPhone | labelPhone)
	return s.wordsBehind
}

// before returns the text before i that may speak of a number at i.
func before(text []byte, i int) []byte {
	low := max(0, i-wordsBefore)
	t := text[low:i]
	n := bytes.LastIndexByte(t, '\n')
	if n >= 0 && len(bytes.Trim(t[n:], " \t\r\n-*•>|(+")) == 0 {
		n = bytes.LastIndexByte(bytes.TrimRight(t[:n], " \t\r\n"), '\n')
	}
	if n >= 0 {
		return t[n+1:]
	}
	if low > 0 && isLetter(text[low-1]) {
		for len(t) > 0 && isLetter(t[0]) {
			t = t[1:]
		}
	}
	return t
}

// memberName returns the name of the JSON member whose value is, or begins
// with, what stands at i. Python writes it with single quotes.
func memberName(text []byte, i int) ([]byte, bool) {
	p := i
	for p > 0 && (text[p-1] == '+' || text[p-1] == '(' || text[p-1] == '-') {
		p--
	}
	if p > 0 && (text[p-1] == '"' || text[p-1] == '\'') {
		p--
	}
	for p > 0 && i-p < 8 && text[p-1] == ' ' {
		p--
	}
	if p < 3 || text[p-1] != ':' {
		return nil, false
	}
	if p--; text[p-1] == ' ' {
		p--
	}
	quote := text[p-1]
	if quote != '"' && quote != '\'' {
		return nil, false
	}
	end := p - 1
	start := bytes.LastIndexByte(text[max(0, end-64):end], quote)
	if start < 0 {
		return nil, false
	}
	return text[max(0, end-64)+start+1 : end], true
}

// read returns what the words of a text speak of. General says that there was
// no word but those that any value may be called by.
func read(text []byte) (is words, general bool) {
	d := dict()
	general = true
	var buf [wordsBefore + 2*wordsBefore]byte
	n := 0
	last, lastWord := 0, 0 // where in buf the word before, and this one, begin
	foreign := false
	for i := 0; i < len(text) && n+2 < len(buf); {
		c := text[i]
		if class[c]&letterByte == 0 {
			i++
			continue
		}
		last, lastWord = lastWord, n
		for i < len(text) && n+2 < len(buf) {
			c := text[i]
			if class[c]&letterByte == 0 {
				break
			}
			// phoneNumber is two words, IBAN is one.
			if n > lastWord && c-'A' < 26 && text[i-1]-'a' < 26 {
				break
			}
			if c >= 0x80 {
				foreign = true
			}
			if c-'A' < 26 {
				c |= 0x20
			}
			buf[n] = c
			n++
			i++
		}
		word := buf[lastWord:n]
		w := d.find(word)
		if w != 0 || !anyName[string(word)] {
			general = false
			is &^= notPersonal | labelPhone | reachedAt | dialWord // these are what the last word says
		}
		is |= w
		if last < lastWord {
			is |= d.find(buf[last:n])
		}
		buf[n] = ' '
		n++
	}
	if foreign {
		for _, f := range d.foreign {
			if bytes.Contains(text, f.text) {
				is |= f.is
				general = false
			}
		}
	}
	return is, general
}

// find looks one word up, or two with a space between.
func (d *dictionary) find(word []byte) words {
	if d.may[word[0]&31]>>(word[len(word)-1]&31)&1 == 0 {
		return 0
	}
	if w, ok := d.words[string(word)]; ok {
		return w
	}
	return 0
}

// anyName are names of members that say nothing of their value.
var anyName = map[string]bool{"value": true, "values": true, "number": true, "numbers": true, "no": true, "text": true, "content": true,
	"data": true, "input": true, "answer": true, "display": true, "field": true, "raw": true, "val": true, "message": true, "body": true, "q": true}
