package redact

// Base64 may begin anywhere in a run of its characters, and text anywhere in what it
// decodes to. Text shows in base64: of each three bytes the highest bits, which are all
// zero in ASCII, are bits of three of the four characters, so a few characters tell
// whether they are part of text, and which of them a group begins with.

// sextet maps a character of either alphabet to its value.
var sextet = func() (table [256]byte) {
	for i := range table {
		table[i] = notHex
	}
	for i, c := range []byte(base64Alphabet[:64]) {
		table[c] = byte(i)
	}
	table['-'], table['_'] = 62, 63
	return table
}()

// probe is how many characters are looked at in each window of a run.
const (
	probe  = 12
	window = 32
)

// isText reports whether the groups in a few characters of base64 decode to ASCII.
func isText(chars []byte) bool {
	for i := 0; i+3 < len(chars); i += 4 {
		if sextet[chars[i]]&0x20|sextet[chars[i+1]]&0x08|sextet[chars[i+2]]&0x02 != 0 {
			return false
		}
	}
	return true
}

// stretch is a part of a run of base64 that decodes to text, in whole groups but for the end
// of the run.
type stretch struct{ start, end int }

// nextStretch returns the next stretch of text in run from i on.
func nextStretch(run []byte, i int) (s stretch, ok bool) {
	last := max(i, len(run)-probe-3) // so that no phase of the end is left out
	for at := i; at <= last; at = next(at, last) {
		for phase := range 4 {
			from := at + phase
			if from+probe > len(run) || !isText(run[from:from+probe]) {
				continue
			}
			s.start = from - (min(from-i, window) &^ 3)
			s.end = from + window
			for s.end+probe <= len(run) && isText(run[s.end:s.end+probe]) {
				s.end += window
			}
			s.end = min(s.end+window, len(run))
			if rest := (s.end - s.start) % 4; s.end < len(run) {
				s.end -= rest
			}
			return s, true
		}
	}
	return stretch{}, false
}

// next returns where the window behind that at at begins: none is left out before last.
func next(at, last int) int {
	if at < last {
		return min(at+window, last)
	}
	return last + 1
}

// unbase64 decodes the stretches of text in base64 in src, one per line.
func unbase64(dst, src []byte, steps *[]step) []byte {
	o, last := 0, 0
	for i := 0; ; {
		start, end, ok := nextRun(src, i, shortRun)
		if !ok {
			return dst[:o]
		}
		i = end
		for at := start; ; {
			s, ok := nextStretch(src[:end], at)
			if !ok {
				break
			}
			at = s.end
			if o > 0 {
				dst[o] = '\n'
				if steps != nil {
					*steps = append(*steps, step{last, s.start, o, o + 1})
				}
				o++
			} else if steps != nil && s.start > 0 {
				*steps = append(*steps, step{0, s.start, 0, 0})
			}
			for g := s.start; g < s.end; g += 4 {
				n := decodeGroup(dst[o:], src[g:min(g+4, s.end)])
				for b := 0; b < n && steps != nil; b++ { // each byte is in two characters
					*steps = append(*steps, step{g + b, g + b + 2, o + b, o + b + 1})
				}
				o += n
			}
			last = s.end
		}
	}
}

// shortRun is the length of the runs that known values are looked for in: that of one of the
// shortest, twice in base64.
const shortRun = 16

// decodeGroup decodes up to four characters and returns how many bytes they are.
func decodeGroup(dst, chars []byte) int {
	if len(chars) == 4 {
		v := uint32(sextet[chars[0]])<<18 | uint32(sextet[chars[1]])<<12 | uint32(sextet[chars[2]])<<6 | uint32(sextet[chars[3]])
		dst[0], dst[1], dst[2] = byte(v>>16), byte(v>>8), byte(v)
		return 3
	}
	var v uint32
	for _, c := range chars {
		v = v<<6 | uint32(sextet[c])
	}
	v <<= 6 * (4 - len(chars))
	dst[0], dst[1] = byte(v>>16), byte(v>>8)
	return len(chars) * 6 / 8
}
