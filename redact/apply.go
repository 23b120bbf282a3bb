package redact

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A BlockedError says that a text holds a find whose action is Block. The text must be
// withheld.
type BlockedError struct {
	Detector Detector
	Type     string
}

func (e *BlockedError) Error() string {
	return fmt.Sprintf("redact: the text holds a find of %s (%s), for which the configuration says block", e.Type, e.Detector)
}

// Find is something that was found, without its value.
type Find struct {
	Detector Detector
	Type     string
	Start    int // in bytes, in the text as it was given
	End      int
	Action   Action
}

// find returns the find that a hit is, at [start:end].
func (h *hit) find(start, end int) Find {
	return Find{Detector: h.detector, Type: h.typ, Start: start, End: end, Action: h.action}
}

// sortHits sorts hits by where they begin, the longer first.
func sortHits(hits []hit) {
	order := func(a, b hit) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) }
	if !slices.IsSortedFunc(hits, order) {
		slices.SortStableFunc(hits, order)
	}
}

// segment is a run of text that something else stands for: that of one hit, or of
// several that overlap.
type segment struct {
	start, end int
	hit        *hit // the one that says what stands there
	whole      bool // it reaches over all of the segment
}

// segments makes segments of the hits, which are sorted. Where they overlap, the
// strictest decides. They are good until the next call.
func (s *scan) segments() ([]segment, error) {
	list := s.list[:0]
	defer func() { s.list = list }()
	for i := range s.hits {
		h := &s.hits[i]
		if h.action == Block {
			return nil, &BlockedError{h.detector, h.typ}
		}
		n := len(list)
		if n == 0 || h.start >= list[n-1].end {
			list = append(list, segment{h.start, h.end, h, true})
			continue
		}
		last := &list[n-1]
		last.end = max(last.end, h.end)
		// Of equals, the one that reaches over all: its value can come back.
		covers := h.start == last.start && h.end == last.end
		if stricter(last.hit.action, h.action) != last.hit.action || ranked(last.hit) < ranked(h) ||
			covers && last.hit.action == h.action && ranked(last.hit) == ranked(h) {
			last.hit = h
		}
		last.whole = last.hit.start == last.start && last.hit.end == last.end
	}
	return list, nil
}

// ranked puts what is no find of its own last.
func ranked(h *hit) int {
	if h.detector == detectEncoded || h.detector == detectLookAlike {
		return 0
	}
	return 1
}

// appendReplacement appends what stands for a segment, of which a part was cut off unless whole.
func (s *scan) appendReplacement(dst []byte, seg *segment, whole bool) []byte {
	h := seg.hit
	if ranked(h) == 0 && (!whole || !seg.whole) {
		return append(dst, "[redacted]"...)
	}
	return s.appendStandIn(dst, h, whole && seg.whole)
}

// applyText returns a plain text with its hits replaced.
func (s *scan) applyText(text []byte) ([]byte, error) {
	list, err := s.segments()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text))
	last := 0
	for i := range list {
		seg := &list[i]
		out = append(out, text[last:seg.start]...)
		if order := utf16Order(text[seg.start:seg.end]); order != nil {
			for _, c := range s.appendReplacement(nil, seg, true) {
				out = order.AppendUint16(out, uint16(c))
			}
		} else {
			out = s.appendReplacement(out, seg, true)
		}
		last = seg.end
	}
	return append(out, text[last:]...), nil
}

// applyJSON returns a JSON document with its hits replaced, as far as they are in
// strings and numbers.
func (s *scan) applyJSON(raw []byte) ([]byte, error) {
	list, err := s.segments()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(raw)+64)
	last, names := 0, false
	var shapes []Shape
	if s.scope.Shapes != nil && len(list) > 0 {
		finds := make([]Span, len(list))
		for i, seg := range list {
			finds[i] = Span{seg.start, seg.end}
		}
		shapes = s.scope.Shapes(raw, finds)
	}
	for i := 0; i < len(raw) && len(list) > 0; {
		c := raw[i]
		switch {
		case c == '"':
			end := stringEnd(raw, i)
			if end < 0 {
				return nil, errNotJSON
			}
			from, to := i+1, end-1
			list = past(list, from)
			quotes := quotes{text: raw[from:to], last: -1}
			isName := len(list) > 0 && list[0].start < to && nameAt(raw, end)
			for k := range list {
				seg := &list[k]
				if seg.start >= to {
					break
				}
				whole := seg.start >= from && seg.end <= to
				start, stop := max(seg.start, from), min(seg.end, to)
				out = append(out, raw[last:start]...)
				last = stop
				if sh := shapeAt(shapes, i); sh != nil && whole && start == from && stop == to {
					if time.Now().After(s.until) {
						return nil, ErrTime
					}
					out = append(out, s.shaped(seg, sh, raw[from:to])...)
					continue
				}
				quote := quotes.around(start-from, stop-from)
				out = append(s.appendReplacement(append(out, quote...), seg, whole), quote...)
				names = names || isName
			}
			i = end
		case c == '-' || '0' <= c && c <= '9':
			end := i + 1
			for end < len(raw) && inNumber(raw[end]) {
				end++
			}
			if list = past(list, i); len(list) > 0 && list[0].start < end {
				seg := &list[0]
				if len(shapes) > 0 && time.Now().After(s.until) {
					return nil, ErrTime
				}
				out = append(out, raw[last:i]...)
				out = append(out, s.number(seg, shapeAt(shapes, i), raw[i:end], seg.start <= i && end <= seg.end)...)
				last = end
			}
			i = end
		default:
			i++
		}
	}
	out = append(out, raw[last:]...)
	if names {
		return distinctNames(out)
	}
	return out, nil
}

// quotes finds the quotation marks of JSON within a string of JSON.
type quotes struct {
	text []byte // the inside of the string
	upTo int    // text[:upTo] was looked at
	last int    // the last mark in it, or -1
}

// around returns the quotation mark, as it is escaped there, that has to stand around what
// replaces text[start:end], where that is a number of JSON within the string; else nothing.
// It is called from the start of the text to its end.
func (q *quotes) around(start, end int) []byte {
	for _, c := range q.text[start:end] {
		if !inNumber(c) {
			return nil
		}
	}
	before, after := bytes.TrimRight(q.text[:start], " "), bytes.TrimLeft(q.text[end:], " ")
	if len(before) == 0 || strings.IndexByte(":,[", before[len(before)-1]) < 0 || len(after) == 0 || strings.IndexByte(",]}\\", after[0]) < 0 {
		return nil
	}
	if n := bytes.LastIndexByte(q.text[q.upTo:start], '"'); n >= 0 {
		q.last = q.upTo + n
	}
	q.upTo = start
	from := q.last
	for from > 0 && q.text[from-1] == '\\' {
		from--
	}
	if from == q.last { // there is no JSON within
		return nil
	}
	return q.text[from : q.last+1]
}

// past drops the segments that end at i or before.
func past(list []segment, i int) []segment {
	for len(list) > 0 && list[0].end <= i {
		list = list[1:]
	}
	return list
}
