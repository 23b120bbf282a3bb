package trial

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/state"
	"github.com/mcpfirewall/mcpfirewall/internal/state/sqlite"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// Same, Differs and CannotTell are the outcomes of replaying a call.
const (
	Same       = "same"
	Differs    = "differs"
	CannotTell = "cannot tell"
)

// A Replayed is one call of a recorded log.
type Replayed struct {
	Line    int      `json:"line"`
	Time    string   `json:"time"`
	ID      string   `json:"id"`
	Session string   `json:"session"`
	Call    string   `json:"call"` // server.tool, server.uri or server.prompt
	Outcome string   `json:"outcome"`
	Old     Decided  `json:"old"`
	New     Decided  `json:"new"`              // without an action if it cannot be told
	Why     []string `json:"why,omitzero"`     // it cannot be told
	Assumes []string `json:"assumes,omitzero"` // what the new decision rests on that the log does not show

	arguments []byte
}

// Decided is a decision.
type Decided struct {
	Action string `json:"action,omitzero"`
	Rule   string `json:"rule,omitzero"`
}

// A Replay is the outcome of a whole log.
type Replay struct {
	Calls       []Replayed `json:"calls"` // but those that are decided as before
	Same        int        `json:"same"`
	Differs     int        `json:"differs"`
	CannotTell  int        `json:"cannot_tell"`
	NotCompared int        `json:"not_compared"` // refused before the policy was asked
	Unreadable  []int      `json:"unreadable"`   // lines that hold no record
	Assuming    int        `json:"assuming"`     // of all calls, those whose new decision rests on an assumption
}

// What a new decision may rest on.
const (
	assumesLimits  = "nothing was counted toward the limit before the log begins"
	assumesSession = "the log holds the session from its beginning"
)

// Replay decides anew on every call of an audit file, under the policy p. Lists name recorded
// lists of tools by server; what they lack is not known.
func (p *Policy) Replay(ctx context.Context, log io.Reader, lists map[string]string) (*Replay, error) {
	r := &replayer{policy: p, ctx: ctx, out: &Replay{Calls: []Replayed{}, Unreadable: []int{}}, sessions: map[[2]string]*session{}, sent: map[string]bool{}, lists: map[string]*toolList{}}
	for server, path := range lists {
		l, err := readList(path)
		if err != nil {
			return nil, fmt.Errorf("reading the tools of %s: %w", server, err)
		}
		r.lists[server] = l
	}
	store := sqlite.New(sqlite.Options{Volatile: true})
	defer store.Close()
	r.store = store
	if err := r.read(log); err != nil {
		return nil, err
	}
	return r.out, nil
}

// A replayer replays one log.
type replayer struct {
	policy   *Policy
	ctx      context.Context
	lists    map[string]*toolList
	store    state.Store
	out      *Replay
	sessions map[[2]string]*session
	sent     map[string]bool // ids of calls that the log says were sent
}

// kinds are the methods that are calls.
var kinds = map[string]rules.Kind{"tools/call": rules.Tool, "resources/read": rules.Resource, "prompts/get": rules.Prompt, "completion/complete": rules.Prompt}

// record replays one record.
func (r *replayer) record(line int, rec *record) error {
	kind, isCall := kinds[rec.Method]
	if !isCall || rec.Event != "intent" && rec.Event != "refusal" {
		return nil
	}
	if rec.Method == "completion/complete" && strings.Contains(rec.Capability, "://") {
		kind = rules.Template
	}
	c := Replayed{Line: line, Time: rec.Time, ID: rec.ID, Session: rec.Session, Call: rec.Server + "." + rec.Capability, arguments: rec.Arguments}
	switch {
	case rec.Event == "intent" && rec.Approved():
		c.Old = Decided{rules.Ask.String(), rec.Rule}
	case rec.Event == "intent":
		c.Old = Decided{rules.Allow.String(), rec.Rule}
	case rec.Action == "" || rec.Rule == schemaRule || rec.Rule == "definition":
		r.out.NotCompared++
		return nil
	default:
		c.Old = Decided{rec.Action, rec.Rule}
	}
	if rec.Event == "refusal" && r.sent[rec.ID] {
		c.Call = "the result of " + c.Call
		return r.cannotTell(c, "the log does not hold results")
	}
	if rec.Event == "intent" {
		r.sent[rec.ID] = true
	}
	if rec.Server == "" {
		return r.unknownServer(c, rec, kind)
	}
	if strings.HasSuffix(rec.Capability, "…") {
		return r.cannotTell(c, "the name was cut in the log")
	}
	if kind != rules.Tool {
		d := r.policy.rules.Bind(rules.Capability{Kind: kind, Server: rec.Server, Name: rec.Capability}).Base()
		return r.add(c, d.Action, d.Rule)
	}
	return r.tool(c, rec)
}

// unknownServer replays a call of something that was not offered: it is only known not to
// be offered now if the patterns say so.
func (r *replayer) unknownServer(c Replayed, rec *record, kind rules.Kind) error {
	c.Call = rec.Capability
	server, name, ok := strings.Cut(rec.Capability, "__")
	if servers := r.policy.Config.Servers; !ok && len(servers) == 1 {
		server, name, ok = servers[0].Name, rec.Capability, true
	}
	if ok && kind == rules.Tool {
		if t, err := r.policy.tool(server, name, nil); err == nil && t.hidden != "" {
			return r.add(c, rules.Deny, t.hidden)
		}
	}
	return r.cannotTell(c, "it was not offered, and the log does not say whether its server has it")
}

func (r *replayer) add(c Replayed, action rules.Action, rule string) error {
	c.New = Decided{action.String(), rule}
	if len(c.Assumes) > 0 {
		r.out.Assuming++
	}
	if c.Old.Action == c.New.Action {
		r.out.Same++
		return nil
	}
	c.Outcome = Differs
	r.out.Differs++
	r.out.Calls = append(r.out.Calls, c)
	return nil
}

func (r *replayer) cannotTell(c Replayed, why ...string) error {
	c.Outcome, c.Why, c.Assumes = CannotTell, why, nil
	r.out.CannotTell++
	r.out.Calls = append(r.out.Calls, c)
	return nil
}

// tool replays a call of a tool.
func (r *replayer) tool(c Replayed, rec *record) error {
	now, err := time.Parse(time.RFC3339, rec.Time)
	if err != nil {
		return r.cannotTell(c, "the record has no time")
	}
	if !slices.ContainsFunc(r.policy.Config.Servers, func(s config.Server) bool { return s.Name == rec.Server }) {
		return r.add(c, rules.Deny, "servers: there is no "+rec.Server)
	}
	lists := map[string]*toolList{rec.Server: r.lists[rec.Server]}
	if r.lists[rec.Server] == nil {
		lists = nil
	}
	t, err := r.policy.tool(rec.Server, rec.Capability, lists)
	if err != nil {
		return r.cannotTell(c, err.Error())
	}
	key := [2]string{rec.Principal, rec.Session}
	s := r.sessions[key]
	if s == nil {
		s = r.policy.newSession(rec.Principal, rec.Session, now)
		s.memory = nil // what the session saw is not in the log
		r.sessions[key] = s
	}

	if t.hidden != "" {
		return r.add(c, rules.Deny, t.hidden)
	}
	u := unknowns{lists: lists != nil, arguments: rec.Vague()}
	v := r.judge(t, s, rec, u, now)
	var action rules.Action
	action, c.Why, c.Assumes = u.judge(&v)
	if action != rules.Deny && u.arguments != "" && t.narrowing != nil {
		c.Why = append(c.Why, "the tool is narrowed, and its arguments "+u.arguments)
	}
	if action != rules.Deny && t.entry.Judges() {
		c.Why = append(c.Why, "rules on its results would be asked, and the log does not hold results")
	}
	told := len(c.Why) == 0 || action == rules.Deny || action == rules.Ask && c.Old.Action == rules.Allow.String()
	if told {
		err = r.add(c, action, v.Rule)
	} else {
		err = r.cannotTell(c, c.Why...)
	}
	if sent := rec.Event == "intent"; err != nil || action == rules.Deny || !sent && (!told || action == rules.Ask) {
		return err
	}
	return r.sends(t, &v, s, rec, now)
}

// judge decides on a call as far as the log shows it.
func (r *replayer) judge(t *tool, s *session, rec *record, u unknowns, now time.Time) Verdict {
	args := rec.Arguments
	if u.arguments != "" {
		args = nil
	}
	v := r.policy.judge(r.ctx, r.store, t, args, s, rules.User{}, rec.Client, now)
	if v.Invalid != "" && u.arguments == "" {
		return v
	}
	if v.Invalid != "" { // what is left are the rules that do not read the arguments
		v.Invalid, v.call.Args = "", nil
		v.Steps = t.entry.Steps(v.call, s.owner())
		d := t.entry.Decide(v.call)
		v.Action, v.Rule = d.Action, d.Rule
	}
	if v.charges.Empty() { // a rule that fails only here must not keep limits from counting
		charges, d := t.entry.Charges(v.call, s.owner())
		if d.Action != rules.Allow {
			return v
		}
		if standings, err := charges.Standings(r.ctx, r.store, now); err == nil {
			v.charges, v.Standings = charges, standings
		}
	}
	return v
}

// sends notes a call that would have been sent.
func (r *replayer) sends(t *tool, v *Verdict, s *session, rec *record, now time.Time) error {
	for _, label := range t.entry.Leaves() {
		s.labels[label] = true
	}
	s.history.Add(t.server, t.name, now)
	s.calls++
	if v.charges.Empty() {
		return nil
	}
	if d := v.charges.Reserve(r.ctx, r.store, now, rec.ID, true); d.Failed != nil {
		return fmt.Errorf("counting the call of record %s: %w", rec.ID, d.Failed)
	}
	return nil
}

// unknowns is what a log does not say of a call.
type unknowns struct {
	lists     bool   // the tool's annotations are known
	arguments string // why the arguments are not
}

// judge is what is surely decided, why more may be, and what that rests on. The decision of
// the store stands in the verdict already.
func (u unknowns) judge(v *Verdict) (action rules.Action, why, assumes []string) {
	if v.Invalid != "" {
		return rules.Deny, nil, nil
	}
	action = rules.Allow
	rule := ""
	limited := true
	for _, s := range v.Steps {
		if name := u.of(s); name != "" {
			why = append(why, fmt.Sprintf("%s %q reads %s", s.Kind, s.Name, name))
			limited = limited && s.Kind != rules.StepLimit
			continue
		}
		if d := s.Decides(); d > action {
			action, rule = d, s.Name
		}
		if s.Kind == rules.StepLimit && s.Holds && !slices.ContainsFunc(v.Standings, func(st rules.Standing) bool { return st.Limit == s.Name && !st.Fits }) {
			assumes = append(assumes, assumesLimits)
		}
		if slices.ContainsFunc(s.Names, func(n string) bool { return strings.HasPrefix(n, "session") || n == "calls()" }) {
			assumes = append(assumes, assumesSession)
		}
	}
	if len(why) == 0 {
		// All is known, so that this is the decision as the relay makes it.
		return v.Action, nil, slices.Compact(slices.Sorted(slices.Values(assumes)))
	}
	for _, st := range v.Standings {
		if limited && !st.Fits && st.Then > action {
			action, rule = st.Then, st.Limit
		}
	}
	v.Rule = rule
	return action, why, slices.Compact(slices.Sorted(slices.Values(assumes)))
}

// of says what a step reads that is not known, "" if it is what it would be.
func (u unknowns) of(s rules.Step) string {
	for _, name := range s.Names {
		root, _, _ := strings.Cut(name, ".")
		switch {
		case root == "args" && u.arguments != "":
			return "arguments, which " + u.arguments
		case name == "user" || name == "user.groups" || name == "user.claims":
			return "the user's groups or claims, which are not in the log"
		case name == "client" || name == "client.version":
			return "the client's version, which is not in the log"
		case (name == "tool" || name == "tool.annotations") && !u.lists:
			return "the tool's annotations, which are not in the log (--tools names a recorded list)"
		case s.Failed != nil && (name == "seen()" || name == "trusted()" || name == "tainted()" || name == "sources()"):
			return "where values came from, which is not in the log"
		}
	}
	return ""
}

// Vague says why the arguments of a record are not those that were sent, "" if they are.
func (rec *record) Vague() string {
	switch {
	case rec.Cut:
		return "were cut in the log"
	case bytes.Contains(rec.Arguments, []byte("[redacted")) || bytes.Contains(rec.Arguments, []byte("[masked]")):
		return "hold a secret that is masked in the log"
	}
	return ""
}

// Approved reports whether a person approved the call.
func (rec *record) Approved() bool { return rec.Reason == "approved by the user" }
