package trial

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/state"
	"github.com/mcpfirewall/mcpfirewall/rules"
	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

var spaces = strings.NewReplacer("\r", "", "\n", " ", "\t", " ")

// maxShown bounds, in bytes, what is shown of a value.
const maxShown = 200

// maxAside bounds, in bytes, what is shown of the parts of a rule that does not hold.
const maxAside = 60

// explanation says in lines what spoke of a call. Of a rule that does not hold, only what is
// short is shown: a preset that did not speak is not what is looked for.
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
		silent := s.Kind != rules.StepLimit && !s.Holds && s.Failed == nil
		if !silent && s.Text != "" && s.Kind != rules.StepPattern && s.Kind != rules.StepLimit {
			lines = append(lines, "  when "+oneLine(s.Text))
		}
		for _, r := range s.Reads {
			if r.Error != "" && s.Failed == nil {
				continue // a part that the rule did not come to
			}
			if silent && len(r.Expr) > maxAside {
				continue
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

// A Question is a call whose decision is to be explained.
type Question struct {
	Tool    string         // server.tool
	Args    []byte         // a JSON object, or nil
	Result  jsontext.Value // what comes back, as in a [Step]; nil for nothing
	Lists   map[string]string
	User    string
	Prompts []string // what the user said before
	Labels  []string // that the session carries
	Store   state.Store
	Now     time.Time
}

// An Explanation says what becomes of a call and why.
type Explanation struct {
	Tool     string   `json:"tool"`
	Action   string   `json:"action"`
	Rule     string   `json:"rule"`
	Message  string   `json:"message,omitzero"`
	Sent     string   `json:"sent,omitzero"` // the tool behind a narrowed one, and its arguments
	Steps    []Spoke  `json:"steps"`
	Relayed  string   `json:"relayed,omitzero"` // what becomes of the result
	Withheld string   `json:"withheld_by,omitzero"`
	Notes    []string `json:"notes"`

	lines, result []string
}

// Spoke is a pattern, rule or limit that spoke of the call.
type Spoke struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Text   string `json:"text,omitzero"`
	Action string `json:"action"` // where it holds
	Holds  bool   `json:"holds"`
	Failed string `json:"failed,omitzero"`
	Left   string `json:"left,omitzero"`     // of a limit
	Over   bool   `json:"exceeded,omitzero"` // likewise
	Reads  []Read `json:"reads"`
}

// Read is a value that it read.
type Read struct {
	Expr  string `json:"expr"`
	Value string `json:"value"` // as JSON, cut after 200 bytes; or what is wrong, in parentheses
}

// Explain says what the policy makes of a call in a session that saw nothing but the prompts.
func (p *Policy) Explain(ctx context.Context, q Question) (*Explanation, error) {
	server, name, ok := strings.Cut(q.Tool, ".")
	if !ok || server == "" || name == "" {
		return nil, fmt.Errorf("the tool is named as in the policy: SERVER.TOOL")
	}
	var lists map[string]*toolList
	for server, path := range q.Lists {
		l, err := readList(path)
		if err != nil {
			return nil, fmt.Errorf("reading the tools of %s: %w", server, err)
		}
		if lists == nil {
			lists = map[string]*toolList{}
		}
		lists[server] = l
	}
	if lists[server] == nil {
		lists = nil
	}
	t, err := p.tool(server, name, lists)
	if err != nil {
		if u, ok := err.(*unknownTool); ok && u.suggestion != "" {
			err = fmt.Errorf("%w (did you mean %q?)", err, u.suggestion)
		}
		return nil, err
	}
	s := p.newSession(q.User, "", q.Now)
	for _, text := range q.Prompts {
		s.memory.Text(provenance.Observation{Source: "user"}, text)
	}
	for _, label := range q.Labels {
		s.labels[label] = true
	}
	v := p.judge(ctx, q.Store, t, q.Args, s, rules.User{}, "", q.Now)
	if v.Invalid == "" {
		v.Steps = t.entry.Explain(v.call, s.owner())
	}
	e := &Explanation{Tool: q.Tool, Action: v.Action.String(), Rule: v.Rule, Message: v.Message, lines: explanation(v.Steps, v.Standings), Steps: []Spoke{}, Notes: []string{}}
	if t.narrowing != nil && v.Invalid == "" && t.hidden == "" {
		e.Sent = rules.Reading{Value: t.server + "." + t.narrowing.Broad + " " + string(v.Sent)}.Short(maxShown)
	}
	e.add(v.Steps, v.Standings)
	if !slices.ContainsFunc(p.Config.Servers, func(c config.Server) bool { return c.Name == server }) {
		e.Notes = append(e.Notes, fmt.Sprintf("the configuration has no server %q", server))
	}
	if lists == nil {
		e.Notes = append(e.Notes, "the arguments were not held against the tool's schema, and its annotations are not known: --tools names a recorded list")
	}
	if len(q.Result) > 0 && v.Action != rules.Deny {
		s.sends(t, v.Sent, q.Now)
		if err := p.explainResult(e, t, &v, s, q); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (p *Policy) explainResult(e *Explanation, t *tool, v *Verdict, s *session, q Question) error {
	raw := toolResult(q.Result, false)
	if t.narrowing != nil {
		var err error
		if raw, err = t.narrowing.Result(raw); err != nil {
			e.Relayed, e.Withheld, e.result = rules.Deny.String(), "output", []string{err.Error()}
			return nil
		}
	}
	v.call.Session = p.call(s, nil, rules.User{}, "", q.Now).Session
	steps := t.entry.ExplainResult(v.call, raw)
	d := t.entry.DecideResult(v.call, raw)
	e.Relayed, e.Withheld = d.Action.String(), d.Rule
	e.result = explanation(steps, nil)
	e.add(steps, nil)
	return nil
}

func (e *Explanation) add(steps []rules.Step, standings []rules.Standing) {
	for _, s := range steps {
		spoke := Spoke{Kind: s.Kind, Name: s.Name, Text: s.Text, Action: s.Action.String(), Holds: s.Holds, Reads: []Read{}}
		if s.Failed != nil {
			spoke.Failed = reason(s.Failed)
		}
		for _, st := range standings {
			if s.Kind == rules.StepLimit && st.Limit == s.Name {
				spoke.Left, spoke.Over = st.Left, !st.Fits
			}
		}
		for _, r := range s.Reads {
			spoke.Reads = append(spoke.Reads, Read{r.Expr, r.Short(maxShown)})
		}
		e.Steps = append(e.Steps, spoke)
	}
}

// Print writes the explanation as people read it.
func (e *Explanation) Print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, decided by %q\n", e.Tool, e.Action, e.Rule)
	if e.Message != "" {
		fmt.Fprintf(w, "  %s\n", oneLine(e.Message))
	}
	if e.Sent != "" {
		fmt.Fprintf(w, "sent as: %s\n", e.Sent)
	}
	fmt.Fprintln(w)
	for _, line := range e.lines {
		fmt.Fprintln(w, line)
	}
	if e.Relayed != "" {
		by := ""
		if e.Withheld != "" {
			by = fmt.Sprintf(", decided by %q", e.Withheld)
		}
		fmt.Fprintf(w, "\nresult: %s%s\n", e.Relayed, by)
		for _, line := range e.result {
			fmt.Fprintln(w, line)
		}
	}
	for _, note := range e.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
}
