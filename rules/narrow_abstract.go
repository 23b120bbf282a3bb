package rules

import (
	"fmt"
	"slices"
	"strings"
)

// level is how much say the agent has in a piece of text.
type level uint8

const (
	levelFixed  level = iota // none: the author wrote it, or a list that it is one of
	levelNumber              // it is a number
	levelWord                // it is of letters, digits, _, -, . and @, and begins with none of the last three
	levelFree                // it may be any text
)

// kinds are the types that a value may have.
type shapes uint8

const (
	shapeText shapes = 1 << iota
	shapeNumber
	shapeBool
	shapeNil
	shapeList
	shapeObject
	shapeOther // times, durations
	anyValue   = 1<<iota - 1
)

// An abstract is all that is known of the values that an expression can have.
type abstract struct {
	kinds  shapes
	texts  []text               // what it can be, or print as, where it is no list and no object
	list   []*abstract          // the elements, if it is a list of known length
	fields map[string]*abstract // the members that are known by name
	rest   *abstract            // any other element or member; nil if there is none
	any    bool                 // it, and whatever is in it, may be anything that the agent chooses
	path   string               // of an input
}

// A text is pieces that stand beside each other.
type text []piece

type piece struct {
	literal    string // if it is known
	known      bool
	level      level
	negative   bool   // a number may begin with -
	restricted bool   // a free text is written by the author of its pattern, but for some words
	name       string // the input that it is, or comes from
	why        string // it is free
}

// Bounds of what is followed.
const (
	maxTexts     = 64  // that one value may be
	maxPieces    = 200 // of one text
	maxFlowSteps = 200_000
)

func anyInput(name, why string) *abstract {
	return &abstract{kinds: anyValue, texts: []text{{{level: levelFree, name: name, why: why}}}, any: true}
}

// unknownFixed is a value that the agent has no say in.
func unknownFixed() *abstract {
	return &abstract{kinds: anyValue &^ (shapeList | shapeObject), texts: []text{{{}}}}
}

func literalText(s string) *abstract {
	return &abstract{kinds: shapeText, texts: []text{{{literal: s, known: true}}}}
}

func truthOf() *abstract { return &abstract{kinds: shapeBool, texts: []text{{{}}}} }

// of gives a value some kinds.
func (v *abstract) of(kinds shapes) *abstract {
	w := *v
	w.kinds = kinds
	return &w
}

// either is what is one or the other.
func either(v, w *abstract) *abstract {
	switch {
	case v == nil || v.kinds == 0 || v == w:
		return w
	case w == nil || w.kinds == 0:
		return v
	}
	out := &abstract{kinds: v.kinds | w.kinds, any: v.any || w.any, path: v.path, fields: map[string]*abstract{}}
	out.texts = distinct(append(slices.Clone(v.texts), w.texts...))
	for _, side := range []*abstract{v, w} {
		for name, field := range side.fields {
			out.fields[name] = either(out.fields[name], field)
		}
		for _, e := range side.list {
			out.rest = either(out.rest, e)
		}
		out.rest = either(out.rest, side.rest)
	}
	return out
}

// distinct drops texts that are there already, once there are some.
func distinct(texts []text) []text {
	if len(texts) <= maxTexts/2 {
		return texts
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(texts, func(t text) bool {
		key := fmt.Sprint(t)
		was := seen[key]
		seen[key] = true
		return was
	})
}

// inside is any element or member.
func (v *abstract) inside() *abstract {
	if v.any {
		return v
	}
	out := v.rest
	for _, e := range v.list {
		out = either(out, e)
	}
	for _, name := range sortedNames(v.fields) {
		out = either(out, v.fields[name])
	}
	if out == nil {
		return &abstract{kinds: shapeNil}
	}
	return either(out, &abstract{kinds: shapeNil})
}

// String is the text as it stands in the expression: a number or word as "x",
// anything else that is not known as "\x00".
func (t text) String() string {
	var b strings.Builder
	for _, p := range t {
		switch {
		case p.known:
			b.WriteString(p.literal)
		case p.level == levelNumber || p.level == levelWord:
			b.WriteByte('x')
		default:
			b.WriteByte(0)
		}
	}
	return b.String()
}

func (t text) fixed() bool {
	for _, p := range t {
		if p.level > levelFixed {
			return false
		}
	}
	return true
}

// worst is the piece that the agent has most say in.
func (t text) worst() piece {
	var worst piece
	for _, p := range t {
		if p.level > worst.level {
			worst = p
		}
	}
	return worst
}
