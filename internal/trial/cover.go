package trial

import (
	"fmt"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// Coverage is what of a policy the tests reached: patterns that matched a tool that was
// called, rules that held, limits that were exceeded, narrowed tools that were called. Of a
// preset one rule or limit is enough: whoever uses it did not write it. A nil Coverage notes
// nothing.
type Coverage struct {
	items  []*CoverItem
	byName map[string]*CoverItem // the name of a step
}

// A CoverItem is one thing that tests can reach.
type CoverItem struct {
	Kind, Name string
	File       string
	Line       int
	Judged     int  // how often it spoke of a call, or of a result
	Reached    bool // it decided
}

// NewCoverage returns the empty coverage of a policy.
func NewCoverage(p *Policy) *Coverage {
	c, cfg := &Coverage{byName: map[string]*CoverItem{}}, p.Config
	add := func(kind, name, path string) *CoverItem {
		at := cfg.Problem(path, 0, "", "")
		item := &CoverItem{Kind: kind, Name: name, File: at.File, Line: at.Line}
		c.items = append(c.items, item)
		return item
	}
	for _, list := range []struct {
		name     string
		patterns []string
	}{{"allow", cfg.Tools.Allow}, {"ask", cfg.Tools.Ask}, {"deny", cfg.Tools.Deny}} {
		for i, pattern := range list.patterns {
			name := "tools." + list.name + ": " + pattern
			if c.byName[name] == nil {
				c.byName[name] = add("pattern", name, fmt.Sprintf("tools.%s[%d]", list.name, i))
			}
		}
	}
	presets := map[string]*CoverItem{}
	rule := func(kind, name, preset, path string) {
		if preset == "" {
			c.byName[name] = add(kind, name, path)
			return
		}
		if presets[preset] == nil {
			presets[preset] = add("preset", preset, usedAt(cfg, preset))
		}
		c.byName[name] = presets[preset]
	}
	for i, r := range cfg.Rules {
		rule("rule", r.Name, r.Preset, fmt.Sprintf("rules[%d].name", i))
	}
	for i, l := range cfg.Limits {
		rule("limit", l.Name, l.Preset, fmt.Sprintf("limits[%d].name", i))
	}
	for _, n := range cfg.Tools.Narrow {
		name := narrowed(n.From, n.Name)
		c.byName[name] = add("narrowed tool", n.Name, "tools.narrow."+n.Name)
	}
	return c
}

func usedAt(cfg *config.Config, preset string) string {
	for i, name := range cfg.Use {
		if name == preset {
			return fmt.Sprintf("use[%d]", i)
		}
	}
	return "use"
}

// narrowed is a key that no step has for a name.
func narrowed(from, name string) string { return "tools.narrow\x00" + from + "\x00" + name }

// call notes a call.
func (c *Coverage) call(t *tool, v *Verdict) {
	if c == nil {
		return
	}
	c.steps(v.Steps, v.Standings)
	if t.narrowing != nil && t.hidden == "" {
		if item := c.byName[narrowed(t.server+"."+t.narrowing.Broad, t.name)]; item != nil {
			item.Judged++
			item.Reached = item.Reached || v.Invalid == ""
		}
	}
}

// steps notes what spoke of a call or a result.
func (c *Coverage) steps(steps []rules.Step, standings []rules.Standing) {
	if c == nil {
		return
	}
	for _, s := range steps {
		item := c.byName[s.Name]
		if item == nil {
			continue
		}
		item.Judged++
		if s.Kind != rules.StepLimit {
			item.Reached = item.Reached || s.Holds
			continue
		}
		for _, st := range standings {
			item.Reached = item.Reached || st.Limit == s.Name && !st.Fits
		}
	}
}

// Items are all that there is to reach, in the order of the configuration.
func (c *Coverage) Items() []*CoverItem { return c.items }

// Percent is how much was reached. What has nothing to reach is reached in full.
func (c *Coverage) Percent() float64 {
	if len(c.items) == 0 {
		return 100
	}
	n := 0
	for _, item := range c.items {
		if item.Reached {
			n++
		}
	}
	return 100 * float64(n) / float64(len(c.items))
}

// Missing says why an item counts as not reached.
func (i *CoverItem) Missing() string {
	switch {
	case i.Reached:
		return ""
	case i.Judged == 0 && i.Kind == "pattern":
		return "matched no tool that was called"
	case i.Judged == 0 && i.Kind == "narrowed tool":
		return "was never called"
	case i.Judged == 0:
		return "spoke of no call"
	case i.Kind == "limit":
		return fmt.Sprintf("was never exceeded (%s)", times(i.Judged))
	case i.Kind == "narrowed tool":
		return fmt.Sprintf("was never called with arguments that fit (%s)", times(i.Judged))
	}
	return fmt.Sprintf("never held (%s)", times(i.Judged))
}

func times(n int) string {
	if n == 1 {
		return "judged once"
	}
	return fmt.Sprintf("judged %d times", n)
}
