package jsonrpc

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"unicode/utf8"
)

// minLeaf is the least that Excerpt leaves of a value: a beginning, an end, and the words
// between them.
const minLeaf = 64

// maxNote bounds what stands for the part that is left out.
const maxNote = len("…(18446744073709551615 bytes left out)…")

// Excerpt returns raw, which Parse has checked, as JSON on one line of at most about most
// bytes: without white space between its tokens, and with the middle of the longest strings
// and numbers left out. Every name and every value has its place, since who writes the JSON
// chooses the order and could push what matters behind something long. It returns nil if
// there are too many of them. What is left out is said in the place where it was:
//
//	{"to":"ann@example.com","body":"Dear Ann, this is …(3918 bytes left out)… yours, Bob"}
func Excerpt(raw []byte, most int) (short []byte, whole bool) {
	type leaf struct {
		at   int // in the rest
		text []byte
	}
	var long []leaf
	rest := make([]byte, 0, min(len(raw), 512)) // all but the values that can be cut
	for t := range tokens(raw) {
		if t.leaf && len(t.text) > minLeaf {
			long = append(long, leaf{len(rest), t.text})
		} else {
			rest = append(rest, t.text...)
		}
		if len(rest)+len(long)*minLeaf > most {
			return nil, false
		}
	}
	lengths := make([]int, len(long))
	for i, l := range long {
		lengths[i] = len(l.text)
	}
	slices.Sort(lengths)
	room, share := most-len(rest), 0
	for i, n := range lengths { // what a short one does not need is for the longer ones
		if share = room / (len(lengths) - i); share < n {
			break
		}
		share, room = n, room-n
	}
	short, whole = make([]byte, 0, min(len(raw), most)), true
	done := 0
	for _, l := range long {
		short = append(short, rest[done:l.at]...)
		if done = l.at; len(l.text) > share {
			short, whole = appendCut(short, l.text, share), false
		} else {
			short = append(short, l.text...)
		}
	}
	return append(short, rest[done:]...), whole
}

// token is a name, a value or a mark of punctuation of JSON.
type token struct {
	text []byte
	leaf bool // a string or number that is no name
}

// tokens yields what raw consists of, less the white space.
func tokens(raw []byte) iter.Seq[token] {
	return func(yield func(token) bool) {
		for i := skipSpace(raw, 0); i < len(raw); i = skipSpace(raw, i) {
			end, leaf := i+1, false
			switch raw[i] {
			case '{', '}', '[', ']', ',', ':':
			case '"':
				end = skipString(raw, i)
				after := skipSpace(raw, end)
				leaf = after == len(raw) || raw[after] != ':'
			default:
				end, leaf = max(end, skipValue(raw, i)), true
			}
			if !yield(token{raw[i:end], leaf}) {
				return
			}
			i = end
		}
	}
}

// appendCut appends the beginning and the end of a string or number, as a string of about
// most bytes.
func appendCut(dst, text []byte, most int) []byte {
	if text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	room := most - len(`""`) - maxNote
	from := boundary(text, room*2/3)
	to := boundary(text, len(text)-room/3)
	dst = append(append(dst, '"'), text[:from]...)
	dst = fmt.Appendf(dst, "…(%d bytes left out)…", to-from)
	return append(append(dst, text[to:]...), '"')
}

// maxEscape is the length of the longest escape: a pair of surrogates.
const maxEscape = len(`\ud83d\ude00`)

// boundary returns the last place at or before n that is within no character and no escape
// of s, the inside of a string.
func boundary(s []byte, n int) int {
	// What begins as early as here has ended before n, be it cut here.
	start := max(0, n-2*maxEscape)
	for start > 0 && s[start-1] == '\\' {
		start--
	}
	for {
		i := bytes.IndexByte(s[start:n], '\\')
		if i < 0 {
			break
		}
		size, _ := escapeSize(s[start+i:])
		if start+i+size > n {
			return start + i
		}
		start += i + size
	}
	for n > start && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}
