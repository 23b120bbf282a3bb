package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"
)

// minRun is the length in characters from which on a run of base64 is looked
// into. Shorter ones are words, and the decoded text of 15 bytes is short for a
// secret.
const minRun = 20

var base64Char = func() (table [256]bool) {
	for _, c := range []byte(base64Alphabet) {
		table[c] = true
	}
	return table
}()

// nextRun returns the next run of at least so many characters of base64 in text from i on.
func nextRun(text []byte, i, least int) (start, end int, ok bool) {
	// Such a run covers one of the windows of eight bytes that are so far apart. Most of them hold
	// a space or a quotation mark, which are less than all characters of base64.
	const low, high = 0x7F * ones, 0x80 * ones
	apart := least - 7
	for at := i; at+8 <= len(text); at += apart {
		word := binary.LittleEndian.Uint64(text[at:])
		if (word&low+(0x80-'+')*ones)&^word&high != high {
			continue
		}
		start, end = at, at
		for start > i && base64Char[text[start-1]] {
			start--
		}
		for end < len(text) && base64Char[text[end]] {
			end++
		}
		if end-start >= least {
			return start, end, true
		}
		// What begins behind its end.
		i = end + 1
		at = max(at, i-apart)
	}
	return 0, 0, false
}

// lines returns the end of the run whose first line is text[start:end], with
// padding. Lines of equal length are one run, as in a MIME body.
func lines(text []byte, start, end int) int {
	const shortest = 40
	width := end - start
	for width >= shortest {
		next := end
		if next < len(text) && text[next] == '\r' {
			next++
		}
		if next == len(text) || text[next] != '\n' {
			break
		}
		next++
		stop := next
		for stop < len(text) && stop-next < width && base64Char[text[stop]] {
			stop++
		}
		if stop == next {
			break
		}
		end = stop
		if stop-next < width {
			break
		}
	}
	for n := 0; n < 2 && end < len(text) && text[end] == '='; n++ {
		end++
	}
	return end
}

// base64 looks into the runs of base64 in text that decode to text, or hold stretches that do.
func (s *scan) base64(text []byte, depth int) error {
	for i := 0; ; {
		start, end, ok := nextRun(text, i, minRun)
		if !ok {
			return nil
		}
		i = lines(text, start, end)
		run := text[start:i]
		if enc := encodingOf(run); decodesToText(enc, run) {
			if err := s.decoded(text, start, i, true, depth); err != nil {
				return err
			}
			continue
		}
		flat := run
		width := bytes.IndexByte(run, '\n')
		if width > 0 {
			if run[width-1] == '\r' {
				width--
			}
			flat = bytes.ReplaceAll(bytes.ReplaceAll(run, []byte("\r"), nil), []byte("\n"), nil)
		}
		// place returns where in text a character of flat is.
		place := func(at int) int {
			if width > 0 {
				at += (at - 1) / width * (bytes.IndexByte(run, '\n') + 1 - width)
			}
			return start + at
		}
		flat = trimPadding(flat)
		for at := 0; ; {
			part, ok := nextStretch(flat, at)
			if !ok {
				break
			}
			at = part.end
			from, to, atEnd := place(part.start), place(part.end), part.end == len(flat)
			if atEnd {
				to = i
			}
			if err := s.decoded(text, from, to, atEnd, depth); err != nil {
				return err
			}
		}
	}
}

// decoded looks into the base64 at text[start:end]. atEnd says that nothing follows that hangs
// on where it ends.
func (s *scan) decoded(text []byte, start, end int, atEnd bool, depth int) error {
	run := text[start:end]
	if len(s.runs) < len(run) {
		s.runs = make([]byte, len(run))
	}
	decoded := decodeRun(s.runs, run)
	if s.nested == nil {
		s.nested = scans.Get().(*scan)
	}
	in := s.nested
	in.begin(s.set, s.scope, s.wants, s.until, s.within+1)
	in.verdict = s.verdict
	if err := in.run(decoded, false); err != nil {
		return err
	}
	if len(in.hits) == 0 {
		return nil
	}
	is := &own{inner: make([]Find, len(in.hits))}
	for i := range in.hits {
		h := &in.hits[i]
		is.inner[i] = h.find(h.start, h.end)
	}
	clean, err := in.applyText(decoded)
	if err != nil {
		return err
	}
	for !atEnd && len(clean)%3 != 0 {
		clean = append(clean, ' ') // whole groups, so that what follows decodes as before
	}
	s.tokenized = append(s.tokenized, in.tokenized...)
	same := 0 // groups before the first find, which stay: what is glued to the run may be of the other alphabet
	if bytes.IndexByte(run, '\n') < 0 {
		same = in.hits[0].start / 3
	}
	is.with = string(run[:4*same]) + string(encodeLike(run[4*same:], clean[3*same:]))
	s.add(encodedHit, s.keepValue(decoded), is, text, start, end, depth)
	return nil
}

// decodeRun decodes a run of base64 of either alphabet, with or without line breaks.
func decodeRun(dst, run []byte) []byte {
	var group [4]byte
	o, n := 0, 0
	for _, c := range trimPadding(run) {
		if sextet[c] == notHex {
			continue // a line break
		}
		group[n] = c
		if n++; n == 4 {
			o += decodeGroup(dst[o:], group[:])
			n = 0
		}
	}
	if n > 0 {
		o += decodeGroup(dst[o:], group[:n])
	}
	return dst[:o]
}

func trimPadding(run []byte) []byte {
	for len(run) > 0 && run[len(run)-1] == '=' {
		run = run[:len(run)-1]
	}
	return run
}

// encodingOf returns the encoding of a run, without padding.
func encodingOf(run []byte) *base64.Encoding {
	if bytes.IndexByte(run, '-') >= 0 || bytes.IndexByte(run, '_') >= 0 {
		return base64.RawURLEncoding
	}
	return base64.RawStdEncoding
}

// encodeLike encodes decoded in the way in which run is encoded, but in one line: line breaks
// would have to be escaped, once for each JSON around it.
func encodeLike(run, decoded []byte) []byte {
	enc := encodingOf(run)
	out := make([]byte, enc.EncodedLen(len(decoded)))
	enc.Encode(out, decoded)
	chars := len(run) - bytes.Count(run, []byte{'\n'}) - bytes.Count(run, []byte{'\r'})
	padded := run[len(run)-1] == '=' || enc == base64.RawStdEncoding && chars%4 == 0
	for padded && len(out)%4 != 0 {
		out = append(out, '=')
	}
	return out
}

// decodesToText reports whether the beginning of a run decodes to text.
func decodesToText(enc *base64.Encoding, run []byte) bool {
	var buf [48]byte
	n, _ := enc.Decode(buf[:], trimPadding(run[:min(len(run)&^3, 64)]))
	if n < minRun/4*3-2 {
		return false
	}
	good := 0
	for i := 0; i < n; {
		if 10*(i-good) > 2*n {
			return false
		}
		switch c := buf[i]; {
		case ' ' <= c && c <= '~', c == '\n', c == '\r', c == '\t':
			good++
			i++
		default:
			_, size := utf8.DecodeRune(buf[i:n])
			if size > 1 {
				good += size
			}
			i += size
		}
	}
	return good*10 >= n*8
}
