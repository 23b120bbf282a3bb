package trial

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
	"github.com/mcpfirewall/mcpfirewall/internal/state"
	"github.com/mcpfirewall/mcpfirewall/redact"
	"github.com/mcpfirewall/mcpfirewall/rules"
	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// A Policy is a configuration whose policy is tried.
type Policy struct {
	Config *config.Config
	rules  *rules.Policy
	narrow map[string]*rules.Narrowing // by "server.name"
	redact *redact.Redactor            // which says what a secret is
}

// Open compiles the policy of a configuration. The error is of type [config.Problems].
func Open(cfg *config.Config) (*Policy, error) {
	compiled, err := policy.Compile(cfg)
	if err != nil {
		return nil, err
	}
	masks, err := redact.New(policy.Redaction(cfg))
	if err != nil {
		return nil, err
	}
	p := &Policy{Config: cfg, rules: compiled, narrow: map[string]*rules.Narrowing{}, redact: masks}
	for _, n := range compiled.Narrowings() {
		p.narrow[n.Server+"."+n.Name] = n
	}
	return p, nil
}

// A tool is one that the agent could call.
type tool struct {
	server, name string
	entry        *rules.Entry
	narrowing    *rules.Narrowing // or nil
	hidden       string           // why it is not offered, "" if it is
	input        *schema.Schema   // of what the agent gives; nil if it is not known
	taken        *schema.Schema   // of what the server takes, where that is another
	open         bool             // the server takes undeclared arguments
}

// An unknownTool is the error of a tool that is in no list.
type unknownTool struct{ message, suggestion string }

func (e *unknownTool) Error() string { return e.message }

// tool looks a tool up in the lists; nil lists know every tool and no schema.
func (p *Policy) tool(server, name string, lists map[string]*toolList) (*tool, error) {
	t := &tool{server: server, name: name, narrowing: p.narrow[server+"."+name]}
	bind := rules.Capability{Kind: rules.Tool, Server: server, Name: name}
	broad := name
	if t.narrowing != nil {
		broad = t.narrowing.Broad
	}
	for i := range p.Config.Servers {
		if s := &p.Config.Servers[i]; s.Name == server {
			bind.Dir = s.Cwd
			t.open = policy.TakesUndeclared(s.Arguments, broad)
		}
	}
	if lists != nil {
		def, err := find(p, lists, server, name, broad)
		if err != nil {
			return nil, err
		}
		raw := jsonrpc.Get(def, "inputSchema")
		if t.narrowing != nil {
			if def, err = t.narrowing.Definition(def); err != nil {
				return nil, fmt.Errorf("the narrowed tool does not fit the tool that it is made of: %w", err)
			}
			t.taken = schema.Lazy(raw)
			raw = jsonrpc.Get(def, "inputSchema")
		}
		t.input = schema.Lazy(raw)
		bind.InputSchema, bind.Annotations = raw, jsonrpc.Get(def, "annotations")
	} else if t.narrowing != nil {
		t.input = schema.Lazy(t.narrowing.InputSchema())
	}
	t.entry = p.rules.Bind(bind)
	switch {
	case t.entry.Hidden():
		t.hidden = t.entry.Base().Rule
	case t.narrowing == nil && p.rules.Narrowed(server, name):
		t.hidden = hiddenByNarrowing
	}
	return t, nil
}

// hiddenByNarrowing is what hides a broad tool.
const hiddenByNarrowing = "tools.narrow"

// find returns the definition of the tool named broad; name is what it was called.
func find(p *Policy, lists map[string]*toolList, server, name, broad string) ([]byte, error) {
	l := lists[server]
	if l == nil {
		names := slices.Sorted(maps.Keys(lists))
		return nil, &unknownTool{fmt.Sprintf("there is no list of tools for the server %q: name one under servers, or say schemas: none", server), config.Nearest(server, names)}
	}
	def := l.tools[broad]
	if def == nil {
		names := slices.Clone(l.names)
		for _, n := range p.narrow {
			if n.Server == server {
				names = append(names, n.Name)
			}
		}
		slices.Sort(names)
		e := &unknownTool{message: fmt.Sprintf("the list of the server %q has no tool %q", server, broad)}
		if near := config.Nearest(name, names); near != "" {
			e.suggestion = server + "." + near
		}
		return nil, e
	}
	return def, nil
}

// A session is what the firewall remembers of one.
type session struct {
	user, name string
	memory     *provenance.Memory
	history    *rules.History
	labels     map[string]bool
	calls      int
	started    time.Time
}

func (p *Policy) newSession(user, name string, now time.Time) *session {
	s := &session{user: user, name: name, memory: provenance.New(provenance.Options{}), history: &rules.History{}, labels: map[string]bool{}, started: now}
	for _, text := range policy.Known(p.Config) {
		s.memory.Text(provenance.Observation{Source: "config"}, text)
	}
	return s
}

// call is a call in the session, with the arguments that are sent.
func (p *Policy) call(s *session, sent []byte, user rules.User, client string, now time.Time) rules.Call {
	user.Subject = s.user
	return rules.Call{Args: sent, User: user, Client: rules.Client{Name: client},
		Session:   rules.Session{Labels: slices.Sorted(maps.Keys(s.labels)), Calls: s.calls, Started: s.started},
		Knowledge: rules.Knowledge{Memory: s.memory, History: s.history, Secret: p.redact.Secret, PII: p.redact.PII, Now: func() time.Time { return now }}}
}

func (s *session) owner() rules.Owner {
	return rules.Owner{Principal: s.user, Session: s.user + "\x00" + s.name}
}

// sends notes that a call is sent, as the relay does before it sees anything of the answer.
func (s *session) sends(t *tool, sent []byte, now time.Time) {
	for _, label := range t.entry.Leaves() {
		s.labels[label] = true
	}
	s.history.Add(t.server, t.name, now)
	s.memory.Sent(sent)
	s.calls++
}

// A Verdict is what the firewall makes of a call.
type Verdict struct {
	Action  rules.Action
	Rule    string
	Message string
	Failed  error

	Sent      []byte           // the arguments that the server would get
	Invalid   string           // why the arguments do not fit the tool's schema, "" if they do
	Steps     []rules.Step     // everything that spoke of the call, without what it read
	Standings []rules.Standing // how the limits stand that count it

	call    rules.Call
	charges rules.Charges
}

// schemaRule is what refuses arguments that do not fit, before any rule is asked.
const schemaRule = "schema"

// judge decides on a call in the order of the relay.
func (p *Policy) judge(ctx context.Context, store state.Store, t *tool, args []byte, s *session, user rules.User, client string, now time.Time) Verdict {
	v := Verdict{Sent: args}
	if len(v.Sent) == 0 {
		v.Sent = []byte("{}")
	}
	refuse := func(rule, message string) Verdict {
		v.Action, v.Rule, v.Message = rules.Deny, rule, message
		return v
	}
	v.call = p.call(s, v.Sent, user, client, now)
	if t.hidden != "" {
		v.Steps = t.entry.Steps(v.call, s.owner())
		return refuse(t.hidden, "The tool is not offered to the agent.")
	}
	if err := p.arguments(t, &v); err != nil {
		v.Invalid = err.Error()
		return refuse(schemaRule, err.Error())
	}
	v.call.Args = v.Sent
	v.Steps = t.entry.Steps(v.call, s.owner())
	d := t.entry.Decide(v.call)
	if d.Action != rules.Deny {
		charges, taken := t.entry.Charges(v.call, s.owner())
		if taken.Action == rules.Allow && !charges.Empty() {
			taken = charges.Check(ctx, store, now)
			var err error
			if v.Standings, err = charges.Standings(ctx, store, now); err != nil {
				taken = rules.Decision{Action: rules.Deny, Failed: err, Message: err.Error()}
			}
		}
		if v.charges = charges; taken.Action > d.Action {
			d = taken
		}
	}
	v.Action, v.Rule, v.Message, v.Failed = d.Action, d.Rule, d.Message, d.Failed
	return v
}

// arguments holds the arguments against the schemas, and makes those of the broad tool.
func (p *Policy) arguments(t *tool, v *Verdict) (err error) {
	if t.input != nil {
		if err := t.input.Check(v.Sent, t.open && t.narrowing == nil); err != nil {
			return err
		}
	}
	if t.narrowing == nil {
		return nil
	}
	if v.Sent, err = t.narrowing.Arguments(v.Sent); err != nil {
		return err
	}
	if t.taken != nil {
		return t.taken.Check(v.Sent, t.open)
	}
	return nil
}
