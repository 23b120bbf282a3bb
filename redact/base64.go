package redact

import (
	"bytes"
	"encoding/base64"
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
	for i+least <= len(text) {
		// Such a run covers the last of every so many characters.
		last := i + least - 1
		if !base64Char[text[last]] {
			i = last + 1
			continue
		}
		start = last
		for start > i && base64Char[text[start-1]] {
			start--
		}
		if start > i {
			i = start
			continue
		}
		for end = last + 1; end < len(text) && base64Char[text[end]]; {
			end++
		}
		return start, end, true
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

// base64 looks into the runs of base64 in text that decode to text.
func (s *scan) base64(text []byte, depth int) error {
	for i := 0; ; {
		start, end, ok := nextRun(text, i, minRun)
		if !ok {
			return nil
		}
		end = lines(text, start, end)
		i = end
		run := text[start:end]
		enc := encodingOf(run)
		if !decodesToText(enc, run) {
			continue
		}
		if len(s.runs) < len(run) {
			s.runs = make([]byte, len(run))
		}
		n, err := enc.Decode(s.runs, trimPadding(run))
		if err != nil && n == 0 {
			continue
		}
		decoded := s.runs[:n]
		if s.nested == nil {
			s.nested = scans.Get().(*scan)
		}
		in := s.nested
		in.begin(s.set, s.scope, s.wants, s.until, s.within+1)
		in.verdict = s.verdict
		if err := in.run(decoded, false); err != nil {
			return err
		}
		if len(in.hits) > 0 {
			if err := s.addRun(in, text, decoded, start, end, depth); err != nil {
				return err
			}
		}
	}
}

// addRun appends the hits in the base64 at text[start:end] as one.
func (s *scan) addRun(in *scan, text, decoded []byte, start, end, depth int) error {
	h := hit{detector: detectEncoded, typ: "encoded", value: string(decoded), action: Tokenize}
	for _, found := range in.hits {
		h.inner = append(h.inner, found.find())
	}
	clean, err := in.applyText(decoded)
	if err != nil {
		return err
	}
	s.tokenized = append(s.tokenized, in.tokenized...)
	h.with = string(encodeLike(text[start:end], clean))
	s.add(h, text, start, end, depth)
	return nil
}

func trimPadding(run []byte) []byte {
	for len(run) > 0 && run[len(run)-1] == '=' {
		run = run[:len(run)-1]
	}
	return run
}

// encodingOf returns the encoding of a run, without padding.
func encodingOf(run []byte) *base64.Encoding {
	if bytes.ContainsAny(run, "-_") {
		return base64.RawURLEncoding
	}
	return base64.RawStdEncoding
}

// encodeLike encodes decoded in the way in which run is encoded.
func encodeLike(run, decoded []byte) []byte {
	enc := encodingOf(run)
	out := make([]byte, enc.EncodedLen(len(decoded)))
	enc.Encode(out, decoded)
	padded := run[len(run)-1] == '=' || enc == base64.RawStdEncoding && len(run)%4 == 0
	for padded && len(out)%4 != 0 {
		out = append(out, '=')
	}
	width := bytes.IndexAny(run, "\r\n")
	if width <= 0 {
		return out
	}
	eol := "\n"
	if run[width] == '\r' {
		eol = "\r\n"
	}
	var wrapped []byte
	for len(out) > width {
		wrapped = append(append(wrapped, out[:width]...), eol...)
		out = out[width:]
	}
	return append(wrapped, out...)
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
