package rules

import (
	"bytes"
	"sync"

	"github.com/expr-lang/expr/vm"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// An evaluation is the state that the rules of one decision share.
type evaluation struct {
	entry *Entry
	call  Call

	result resultValue // in rules on results

	checked bool       // the arguments were looked at
	invalid string     // why the arguments cannot be used, if they cannot
	members []argument // the arguments, in their order; unused once all is set
	room    room       // for decoding them
	all     map[string]any

	env     environment
	hasEnv  bool
	budget  budget
	stack   []any // arguments of functions that a direct evaluation is about to call
	machine vm.VM
}

// An argument is decoded when a rule reads it.
type argument struct {
	name, raw []byte
	value     any
	decoded   bool
}

// maxMembers bounds the arguments that are searched one by one.
const maxMembers = 32

var evaluations = sync.Pool{New: func() any { return new(evaluation) }}

func newEvaluation(e *Entry, c Call) *evaluation {
	v := evaluations.Get().(*evaluation)
	v.entry, v.call = e, c
	return v
}

// release forgets everything about the call but keeps the room that it took.
func (v *evaluation) release() {
	members, stack, machine := v.members[:cap(v.members)], v.stack[:cap(v.stack)], v.machine.Stack[:cap(v.machine.Stack)]
	clear(members)
	clear(stack)
	clear(machine)
	*v = evaluation{members: members[:0], stack: stack[:0], machine: vm.VM{Stack: machine[:0]}}
	evaluations.Put(v)
}

func (v *evaluation) eval(c *condition) (bool, *RunError) {
	if c.readsArgs {
		if v.check(); v.invalid != "" {
			return false, &RunError{Reason: v.invalid}
		}
	}
	if c.remembers && v.call.Session.Forgetful {
		return false, &RunError{Reason: forgetful}
	}
	if c.direct != nil {
		holds, ok := v.direct(c)
		if v.invalid != "" { // it was found when an argument was read
			return false, &RunError{Reason: v.invalid}
		}
		if ok {
			return holds, nil
		}
	}
	env := v.environment()
	if c.readsArgs {
		if env.Args = v.allArgs(); v.invalid != "" {
			return false, &RunError{Reason: v.invalid}
		}
	}
	return c.run(&v.machine, env)
}

// forgetful is why a rule cannot speak of a session's labels and calls.
const forgetful = "this request belongs to no session that remembers anything: over HTTP, a client has one if it names it in Mcp-Firewall-Session"

// direct evaluates a condition without the machine. It reports whether the
// outcome is known; where it is not, the machine has to say it.
func (v *evaluation) direct(c *condition) (holds, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			holds, ok = false, false
		}
	}()
	v.budget.run = v
	v.budget.fill(directSteps, directBytes)
	v.stack = v.stack[:0]
	holds, err := c.direct.truth(v)
	return holds, err == nil
}

// environment is what conditions can name, but for the arguments.
func (v *evaluation) environment() *environment {
	if !v.hasEnv {
		v.hasEnv = true
		v.budget.run = v
		v.env = environment{
			Tool: v.entry.toolEnv(),
			Args: noArgs,
			Session: sessionEnv{
				Labels:  v.call.Session.Labels,
				Calls:   v.call.Session.Calls,
				Started: v.call.Session.Started,
			},
			User: v.call.User, Client: v.call.Client, Result: v.result,
			Budget: &v.budget,
		}
		if v.env.Session.Labels == nil {
			v.env.Session.Labels = []string{}
		}
	}
	return &v.env
}

var noArgs = map[string]any{}

// check finds the arguments, and the reason if they cannot be used.
func (v *evaluation) check() {
	if v.checked {
		return
	}
	v.checked, v.room = true, fullRoom
	if v.index() {
		return
	}
	args, err := decodeArgs(v.call.Args, &v.room)
	if err != nil {
		v.invalid = err.Error()
	}
	v.all = args
}

// index finds the arguments where they stand. It returns false for what it
// does not know to be right, or worth it.
func (v *evaluation) index() bool {
	raw := v.call.Args
	if raw == nil {
		return true
	}
	// CheckValue would replace line ends, and these bytes are the caller's.
	if bytes.IndexByte(raw, '\n') >= 0 || bytes.IndexByte(raw, '\r') >= 0 || !v.call.Parsed && jsonrpc.CheckValue(raw, jsonrpc.Limits{}) != nil {
		return false
	}
	if bytes.TrimLeft(raw, " \t")[0] != '{' {
		return false
	}
	for name, value := range jsonrpc.Members(raw, jsonrpc.Span{End: len(raw)}) {
		inner := raw[name.Start+1 : name.End-1]
		if len(v.members) == maxMembers || bytes.IndexByte(inner, '\\') >= 0 {
			v.members = v.members[:0]
			return false
		}
		v.members = append(v.members, argument{name: inner, raw: raw[value.Start:value.End]})
	}
	return true
}

// arg is the argument of a name, nil if there is none.
func (v *evaluation) arg(name string) any {
	if v.all != nil {
		return v.all[name]
	}
	for i := range v.members {
		if a := &v.members[i]; string(a.name) == name {
			return v.decode(a)
		}
	}
	return nil
}

func (v *evaluation) allArgs() map[string]any {
	if v.all == nil {
		v.all = make(map[string]any, len(v.members))
		for i := range v.members {
			v.all[string(v.members[i].name)] = v.decode(&v.members[i])
		}
	}
	return v.all
}

// decode reads an argument, which is known to be valid. Where it is too large, so are the
// arguments.
func (v *evaluation) decode(a *argument) any {
	if !a.decoded {
		var err error
		if a.value, err = decodeChecked(a.raw, &v.room); err != nil {
			v.invalid = err.Error()
		}
		a.decoded = true
	}
	return a.value
}
