package rules

import "fmt"

// rule checks one rule: its condition, and whether it can decide anything.
func (k *checking) rule(at int, r *rule) []Finding {
	var live, hidden []*checkedTool
	for _, t := range k.tools {
		if !r.names(&t.sub) {
			continue
		}
		if t.base == Deny {
			hidden = append(hidden, t)
		} else {
			live = append(live, t)
		}
	}
	var found []Finding
	if r.when != nil && len(live) > 0 {
		x, err := parseExpression(r.when.text)
		if err != nil {
			return nil // it was compiled, so that this cannot be
		}
		found = k.expression(r.path+".when", x, live, kindBool, false)
	}
	if why := k.shadow(at, r, live, hidden); why != "" {
		f := Finding{Problem: Problem{Path: r.path, Message: why}, Warning: true}
		for _, t := range append(live, hidden...) {
			f.Tools = append(f.Tools, t.full)
		}
		found = append(found, f)
	}
	return found
}

// shadow says why a rule never decides anything; it is empty if it may, or if
// it names no tool at all, which is found elsewhere.
func (k *checking) shadow(at int, r *rule, live, hidden []*checkedTool) string {
	switch {
	case len(live)+len(hidden) == 0:
		return ""
	case len(live) == 0:
		return "the rule never decides anything: the patterns hide every tool that it names"
	}
	var by *rule
	for _, t := range live {
		s := k.stricter(at, r, t)
		if s == nil {
			by = nil
			break
		}
		by = s
	}
	if by != nil {
		return fmt.Sprintf("the rule never decides anything: the rule %q always decides first", by.name)
	}
	if r.on == onCall && r.decision.Action == Ask && r.decision == newDecision(Ask, r.name, "") {
		for _, t := range live {
			if t.base != Ask {
				return ""
			}
		}
		return "the rule changes nothing: the patterns ask about every tool that it names already, and it has no message of its own"
	}
	return ""
}

// stricter finds a rule that decides on every call of the tool that this one
// could decide on.
func (k *checking) stricter(at int, r *rule, t *checkedTool) *rule {
	for i, s := range k.policy.rules {
		// Of two that say the same, the first in the order of evaluation decides.
		if s.decision.Action < r.decision.Action || s.decision.Action == r.decision.Action && i >= at {
			continue
		}
		if s.on != r.on {
			continue
		}
		same := s.when == nil || r.when != nil && r.when.text == s.when.text
		if same && s.names(&t.sub) {
			return s
		}
	}
	return nil
}
