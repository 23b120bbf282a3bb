package proxy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// settleTime is how long the first answer waits for servers to say what they offer.
// Clients give up on slow answers, and one slow server must not delay them.
const settleTime = 20 * time.Millisecond

// patience is what of that time the session's client has.
func (s *Session) patience() time.Duration {
	if s.peer.Due.IsZero() {
		return settleTime
	}
	return min(settleTime, time.Until(s.peer.Due))
}

// initialize answers a legacy client from what the servers offer.
func (x *Exchange) initialize() answer {
	s := x.s
	params := x.m.At(x.m.Params)
	version, _ := jsonrpc.GetString(params, "protocolVersion")
	if !slices.Contains(LegacyVersions, version) {
		version = LegacyVersions[0]
	}
	who := newIdentity(jsonrpc.Get(params, "clientInfo"))
	who.caps, who.version = jsonrpc.Get(params, "capabilities"), version
	if len(who.caps) == 0 || who.caps[0] != '{' {
		who.caps = []byte("{}")
	}
	s.mu.Lock()
	if s.version != "" {
		s.mu.Unlock()
		return x.fail(jsonrpc.CodeInvalidRequest, "the session is initialized already", nil)
	}
	s.client, s.version = who, version
	s.mu.Unlock()
	s.fleet.identify(who)
	s.settle(x.ctx, s.patience())

	caps, instructions := s.offers(false)
	b := append([]byte(`{"protocolVersion":`), jsonrpc.Quote(version)...)
	b = append(append(b, `,"capabilities":`...), caps...)
	b = append(append(b, `,"serverInfo":`...), s.relay.ownInfo()...)
	if instructions != "" {
		b = jsonrpc.AppendQuote(append(b, `,"instructions":`...), instructions)
	}
	return x.result(append(b, '}'))
}

// discover answers a modern client from what the servers offer.
func (x *Exchange) discover() answer {
	s := x.s
	s.settle(x.ctx, s.patience())
	caps, instructions := s.offers(true)
	b := []byte(`{"resultType":"complete","supportedVersions":[`)
	for i, v := range SupportedVersions() {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonrpc.AppendQuote(b, v)
	}
	b = append(append(b, `],"capabilities":`...), caps...)
	if instructions != "" {
		b = jsonrpc.AppendQuote(append(b, `,"instructions":`...), instructions)
	}
	b = append(b, `,"ttlMs":0,"cacheScope":"private","_meta":{"`+metaServerInfo+`":`...)
	return x.result(append(append(b, s.relay.ownInfo()...), "}}"...))
}

// ownInfo is the firewall's Implementation object.
func (r *Relay) ownInfo() []byte {
	version := r.version
	if version == "" {
		version = "devel"
	}
	return append(append([]byte(`{"name":"mcpfirewall","title":"mcpfirewall","version":`), jsonrpc.Quote(version)...), '}')
}

// settle waits until each server is up or has failed, at most for d.
func (s *Session) settle(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, c := range s.fleet.all() {
		select {
		case <-c.settled():
		case <-ctx.Done():
			return
		}
	}
}

// declares reports whether a capabilities object has what path leads to.
func declares(caps []byte, path ...string) bool {
	v := jsonrpc.Get(caps, path...)
	return len(v) > 0 && string(v) != "false" && string(v) != "null"
}

// offers returns the capabilities to declare and the servers' instructions. A capability
// is declared where a server has it; for a server that is not up yet, those are declared
// whose emptiness harms nobody, since a client would never ask again.
func (s *Session) offers(modern bool) (caps []byte, instructions string) {
	var tools, resources, subscribe, prompts, logging, completions, tasksExt bool
	var tasks []byte // of a legacy client
	var texts []string
	conns := s.fleet.all()
	for _, c := range conns {
		l := c.up()
		offered, text, offersModern := s.relay.memory.recall(c.cfg)
		if l != nil {
			offered, text, offersModern = l.offer.caps, l.offer.instructions, l.modern
		} else if offered == nil && c.failed() == nil {
			tools, resources, prompts, logging, completions = true, true, true, true, true
			continue
		} else if offered == nil {
			tools = true // it is restarted, and its tools may come
			continue
		}
		has := func(path ...string) bool { return declares(offered, path...) }
		tools = tools || has("tools")
		resources = resources || has("resources")
		subscribe = subscribe || has("resources", "subscribe")
		prompts = prompts || has("prompts")
		logging = logging || has("logging")
		completions = completions || has("completions")
		if !modern && !offersModern {
			tasks = mergeTasks(tasks, offered)
		}
		tasksExt = tasksExt || modern && offersModern && has("extensions", extensionTasks)
		if text != "" {
			if len(conns) > 1 {
				text = c.name + ":\n" + text
			}
			texts = append(texts, text)
		}
	}
	b := []byte("{")
	add := func(member string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, member...)
	}
	if tools {
		add(`"tools":{"listChanged":true}`)
	}
	if resources && subscribe {
		add(`"resources":{"listChanged":true,"subscribe":true}`)
	} else if resources {
		add(`"resources":{"listChanged":true}`)
	}
	if prompts {
		add(`"prompts":{"listChanged":true}`)
	}
	if logging {
		add(`"logging":{}`)
	}
	if completions {
		add(`"completions":{}`)
	}
	if tasks != nil {
		add(`"tasks":` + string(tasks))
	}
	if tasksExt {
		add(`"extensions":{"` + extensionTasks + `":{}}`)
	}
	return append(b, '}'), strings.Join(texts, "\n\n")
}

// mergeTasks adds what a server offers of tasks to what others do (2025-11-25,
// basic/utilities/tasks, "Server Capabilities"); nil if none offers any.
func mergeTasks(tasks, offered []byte) []byte {
	if !declares(offered, "tasks") {
		return tasks
	}
	if tasks == nil {
		tasks = []byte("{}")
	}
	for _, member := range []string{"list", "cancel"} {
		if declares(offered, "tasks", member) {
			tasks = jsonrpc.SetMember(tasks, member, []byte("{}"))
		}
	}
	if declares(offered, "tasks", "requests", "tools", "call") {
		tasks = jsonrpc.SetMember(tasks, "requests", []byte(`{"tools":{"call":{}}}`))
	}
	return tasks
}

// legacyCaps returns the capabilities that a legacy server is told of when it is
// initialized.
func legacyCaps(who identity, c *conn) []byte {
	caps := who.caps
	if who.modern && c.fleet.owner { // requests that share connections otherwise have the same capabilities
		caps = []byte(`{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}`)
	}
	return serverCaps(caps, c, who.modern, false)
}

// serverCaps returns the client capabilities that a server is told of: those that the
// client has, that the firewall understands and that the server's configuration allows.
func serverCaps(caps []byte, c *conn, clientModern, serverModern bool) []byte {
	allowed := map[string]bool{"sampling": c.cfg.Sampling, "elicitation": c.cfg.Elicitation, "roots": c.cfg.Roots,
		"tasks": !clientModern && !serverModern, "extensions": clientModern && serverModern}
	caps = jsonrpc.DropMembers(caps, func(name string) bool { return !allowed[name] })
	if ext := jsonrpc.Get(caps, "extensions"); len(ext) > 0 {
		caps = jsonrpc.SetMember(caps, "extensions", jsonrpc.DropMembers(ext, func(name string) bool { return name != extensionTasks }))
	}
	return caps
}
