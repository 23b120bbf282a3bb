package trial

import (
	"fmt"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/rules"
)

var spaces = strings.NewReplacer("\r", "", "\n", " ", "\t", " ")

// maxShown bounds, in bytes, what is shown of a value.
const maxShown = 200

// explanation says in lines what spoke of a call.
func explanation(steps []rules.Step, standings []rules.Standing) (lines []string) {
	for _, s := range steps {
		head := ""
		switch s.Kind {
		case rules.StepPattern:
			head = fmt.Sprintf("pattern %s: %s", s.Name, s.Action)
		case rules.StepLimit:
			head = fmt.Sprintf("limit %q (%s): %s", s.Name, s.Text, limitSays(s, standings))
		default:
			head = fmt.Sprintf("%s %q: %s", s.Kind, s.Name, ruleSays(s))
		}
		lines = append(lines, head)
		if s.Text != "" && s.Kind != rules.StepPattern && s.Kind != rules.StepLimit {
			lines = append(lines, "  when "+oneLine(s.Text))
		}
		for _, r := range s.Reads {
			if r.Error != "" && s.Failed == nil {
				continue // a part that the rule did not come to
			}
			lines = append(lines, "    "+oneLine(r.Expr)+" = "+r.Short(maxShown))
		}
	}
	return lines
}

func ruleSays(s rules.Step) string {
	switch {
	case s.Failed != nil:
		return "deny, because it fails: " + reason(s.Failed)
	case s.Holds:
		return s.Action.String()
	}
	return "does not hold"
}

func reason(err error) string {
	if e, ok := err.(*rules.RunError); ok {
		return e.Reason
	}
	return err.Error()
}

func limitSays(s rules.Step, standings []rules.Standing) string {
	switch {
	case s.Failed != nil:
		return "deny, because it fails: " + reason(s.Failed)
	case !s.Holds:
		return "does not count this call"
	}
	for _, st := range standings {
		if st.Limit != s.Name {
			continue
		}
		says := fmt.Sprintf("the call counts %s and %s is left", st.Amount, st.Left)
		if !st.Fits {
			return s.Action.String() + ", because " + says
		}
		return says
	}
	return "not asked, since the call is refused already"
}

// oneLine is an expression without line breaks, bounded.
func oneLine(text string) string {
	return rules.Reading{Value: spaces.Replace(text)}.Short(2 * maxShown)
}
