package schema

import (
	"math/big"
	"slices"
	"sort"
	"strconv"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Demand is what a schema says of one string or number of an instance.
type Demand struct {
	jsonrpc.Span // the value's, in the text that holds the instance

	schema *Schema
	place  *place
}

// place is where in an instance a value is: by its name or its index in what is at parent.
type place struct {
	parent *place
	name   string // quoted, as it was; "" for an element
	index  int
}

// Demands lists the strings and numbers of the instance at a place in raw in which one of the
// places that are asked for begins, which are in their order.
func (s *Schema) Demands(raw []byte, at jsonrpc.Span, asked []jsonrpc.Span) []Demand {
	if s.anything {
		return nil
	}
	var list []Demand
	var walk func(at jsonrpc.Span, p *place, depth int)
	walk = func(at jsonrpc.Span, p *place, depth int) {
		n := sort.Search(len(asked), func(n int) bool { return at.Start <= asked[n].Start })
		if !at.Present() || depth > maxInstanceDepth || n == len(asked) || at.End <= asked[n].Start {
			return
		}
		switch c := raw[at.Start]; {
		case c == '{':
			for name, value := range jsonrpc.Members(raw, at) {
				walk(value, &place{parent: p, name: string(raw[name.Start:name.End])}, depth+1)
			}
		case c == '[':
			i := 0
			for value := range jsonrpc.Elements(raw, at) {
				walk(value, &place{parent: p, index: i}, depth+1)
				i++
			}
		case c == '"' || c == '-' || '0' <= c && c <= '9':
			list = append(list, Demand{at, s, p})
		}
	}
	walk(at, nil, 0)
	return list
}

// seeds returns the schemas of what is at p.
func (c *compiled) seeds(p *place) []*jsonschema.Schema {
	if p == nil {
		return []*jsonschema.Schema{c.root}
	}
	set := c.nameSetOf(c.seeds(p.parent))
	if p.name != "" {
		return set.property(jsonrpc.String([]byte(p.name)))
	}
	return set.item(p.index)
}

// Takes reports whether the schema takes a JSON string or number in the place of the value,
// but for the formats that it names.
func (d *Demand) Takes(value []byte) bool {
	v, err := decode(value, limits{depth: 1})
	if err != nil {
		return false
	}
	takes := false
	err = d.schema.use(len(value), func(c *compiled) error {
		takes = true
		for _, s := range c.seeds(d.place) {
			takes = takes && s.Validate(v) == nil
		}
		return nil
	})
	return takes && err == nil
}

// Hints returns the formats that the schema names for the value, and the bounds of numbers.
func (d *Demand) Hints() (formats, bounds []string) {
	d.schema.use(0, func(c *compiled) error {
		for _, s := range c.nameSetOf(c.seeds(d.place)).schemas {
			if s.Format != nil && s.Format.Name != "" && !slices.Contains(formats, s.Format.Name) {
				formats = append(formats, s.Format.Name)
			}
			for _, bound := range []*big.Rat{s.Minimum, s.Maximum} {
				if bound != nil {
					bounds = append(bounds, number64(bound))
				}
			}
			if s.ExclusiveMinimum != nil {
				bounds = append(bounds, number64(new(big.Rat).Add(s.ExclusiveMinimum, big.NewRat(1, 1))))
			}
		}
		return nil
	})
	return formats, bounds
}

// number64 returns a number as JSON.
func number64(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'f', -1, 64)
}
