package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/internal/schema"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"github.com/mcpfirewall/mcpfirewall/rules"
	"github.com/mcpfirewall/mcpfirewall/rules/provenance"
)

// capability is a tool, resource, resource template or prompt as a client may see it.
type capability struct {
	kind    rules.Kind
	conn    *conn
	link    *link  // whose list it stands in; nil for a resource that no list names
	name    string // at the server; the URI of a resource
	called  string // in the policy and in records: the name, or that of a narrowed tool
	narrow  *rules.Narrowing
	broad   *schema.Schema // of the arguments that the server takes, where that is another than input
	exposed string         // to the client
	raw     []byte         // the definition under its exposed name
	entry   *rules.Entry
	also    []*rules.Entry // of the templates that a resource comes from
	digest  [32]byte       // of the server's definition

	input, output *schema.Schema
	headers       []schema.HeaderParam
	inject        []injected     // what the firewall adds to calls
	guarded       []string       // names, folded, that no agent may give, since they are for that
	full          *schema.Schema // of the server, where inject hides part of it
	open          bool           // arguments that the schema does not declare pass
	reason        string         // why it is withheld though the policy would show it
}

// visible reports whether the client is shown the capability.
func (c *capability) visible() bool { return c.reason == "" && !c.entry.Hidden() }

// leaves are the labels that a session carries on once it was sent a call: those of the
// templates that a resource comes from too.
func (c *capability) leaves() []string {
	all := c.entry.Leaves()
	for _, e := range c.also {
		all = append(all, e.Leaves()...)
	}
	return all
}

// observation is what is to be noted of the results. What a template's label says of them
// can make them worth less, and never more.
func (c *capability) observation() provenance.Observation {
	o := c.entry.Observation()
	for _, e := range c.also {
		t := e.Observation()
		if t.Trust == provenance.Untrusted {
			o.Trust = provenance.Untrusted
		}
		for _, f := range t.Fields {
			if f.Trust == provenance.Untrusted {
				o.Fields = append(o.Fields[:len(o.Fields):len(o.Fields)], f)
			}
		}
	}
	return o
}

// view is the merged, named and filtered sight of the servers' lists, as of one moment.
type view struct {
	gen     *generation
	epoch   atomic.Int64 // of the relay, when the view was last found to be current
	serials []serial

	lists     map[string][]*capability // by list method, visible ones only, in order
	tools     map[string]*capability   // by exposed name, visible ones only
	prompts   map[string]*capability
	resources map[string]*capability // by URI
	templates []*capability
	all       []*capability // the hidden ones too
	stamp     [8]byte       // tells this view from others, for cursors
}

type serial struct {
	link *link
	n    int64
}

// view returns the current view; it is built anew when a list, a link or the
// configuration changed.
func (f *fleet) view() *view {
	epoch := f.relay.epoch.Load()
	if v := f.cached.Load(); v != nil && v.epoch.Load() == epoch {
		return v
	}
	gen := f.relay.current.Load()
	var links []*link
	for _, c := range f.all() {
		if l := c.listed(); l != nil {
			links = append(links, l)
		}
	}
	serials := make([]serial, len(links))
	for i, l := range links {
		l.catalog.mu.Lock()
		serials[i] = serial{l, l.catalog.serial}
		l.catalog.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.cached.Load()
	if v == nil || v.gen != gen || !slices.Equal(v.serials, serials) {
		v = build(gen, links, serials)
	}
	v.epoch.Store(epoch)
	f.cached.Store(v)
	return v
}

// holds reports whether the link's lists are part of the view.
func (v *view) holds(l *link) bool {
	return slices.ContainsFunc(v.serials, func(s serial) bool { return s.link == l })
}

func build(gen *generation, links []*link, serials []serial) *view {
	v := &view{gen: gen, serials: serials, lists: map[string][]*capability{}, tools: map[string]*capability{},
		prompts: map[string]*capability{}, resources: map[string]*capability{}}
	binary.BigEndian.PutUint64(v.stamp[:], uint64(time.Now().UnixNano()))
	for _, k := range listKinds {
		first := len(v.all)
		for _, l := range links {
			v.all = append(v.all, l.catalog.bound(gen, k)...)
		}
		named := make(map[string]int, len(v.all)-first)
		for _, c := range v.all[first:] {
			if c.reason == "" {
				named[c.exposed]++
			}
		}
		for i, c := range v.all[first:] {
			if n := named[c.exposed]; n > 1 && c.reason == "" {
				// There is no silent winner: a call must not depend on which came first.
				withheld := *c
				c = &withheld
				v.all[first+i] = c
				c.reason = fmt.Sprintf("%d capabilities are called %s", n, c.exposed)
				c.conn.log.Warn().Str("name", visible.Name(c.exposed)).Str("kind", k.member).Msg("withheld: several capabilities collide under this name; set naming: always or hide one of the servers")
			}
			if c.visible() {
				v.lists[k.method] = append(v.lists[k.method], c)
				switch k.method {
				case toolList.method:
					v.tools[c.exposed] = c
				case promptList.method:
					v.prompts[c.exposed] = c
				case resourceList.method:
					v.resources[c.exposed] = c
				case templateList.method:
					v.templates = append(v.templates, c)
				}
			}
		}
	}
	return v
}

// newCapabilities makes the capabilities of an item: the tools that are narrowed from it come
// beside it, and hide it.
func newCapabilities(gen *generation, l *link, k listKind, it item) []*capability {
	c := newCapability(gen, l, k, it, nil)
	caps := []*capability{c}
	if c.kind != rules.Tool {
		return caps
	}
	if gen.policy.Narrowed(l.conn.name, it.name) {
		c.reason = "it is narrowed to more specific tools"
	}
	for _, n := range gen.policy.Narrowings() {
		if strings.EqualFold(n.Server, l.conn.name) && n.Broad == it.name {
			caps = append(caps, newCapability(gen, l, k, it, n))
		}
	}
	return caps
}

func newCapability(gen *generation, l *link, k listKind, it item, n *rules.Narrowing) *capability {
	c := &capability{conn: l.conn, link: l, name: it.name, called: it.name, exposed: it.name, raw: it.raw, narrow: n, digest: sha256.Sum256(it.raw)}
	annotated := it.raw
	if k.method == toolList.method {
		it.raw = c.hide(it.raw)
		c.raw = it.raw
	}
	if n != nil {
		broad := jsonrpc.Get(it.raw, "inputSchema")
		c.called, c.exposed = n.Name, n.Name
		raw, err := n.Definition(it.raw)
		if err != nil {
			c.reason = "the narrowing does not fit the tool that it is made of: " + err.Error()
			l.conn.log.Error().Str("tool", n.Name).Str("from", visible.Name(it.name)).Str("reason", err.Error()).Msg("narrowed tool withheld")
		} else {
			c.raw, it.raw, c.digest = raw, raw, sha256.Sum256(fmt.Append(nil, n.Fingerprint(), string(raw), string(annotated)))
		}
		c.broad = schema.Lazy(broad)
	}
	switch k.method {
	case toolList.method:
		c.kind = rules.Tool
	case promptList.method:
		c.kind = rules.Prompt
	case resourceList.method:
		c.kind = rules.Resource
	case templateList.method:
		c.kind = rules.Template
	}
	if gen.prefix && (c.kind == rules.Tool || c.kind == rules.Prompt) {
		c.exposed = l.conn.name + "__" + c.called
		c.raw = jsonrpc.SetMember(it.raw, "name", jsonrpc.Quote(c.exposed))
	}
	bind := rules.Capability{Kind: c.kind, Server: l.conn.name, Name: c.called, Dir: l.conn.cfg.Cwd}
	var input, output []byte
	for name, value := range jsonrpc.Members(it.raw, jsonrpc.Span{End: len(it.raw)}) {
		v := it.raw[value.Start:value.End:value.End]
		switch definitionNames.Find(it.raw[name.Start:name.End]) {
		case "inputSchema":
			input = v
		case "outputSchema":
			output = v
		case "annotations":
			bind.Annotations = v
		}
	}
	if c.kind == rules.Tool {
		bind.InputSchema = input
		c.input = schema.Lazy(input)
		if len(output) > 0 {
			c.output = schema.Lazy(output)
		}
		var err error
		if c.headers, err = schema.HeaderParams(input); err != nil {
			// 2026-07-28, streamable-http: such a definition must not be offered.
			c.reason = "its x-mcp-header annotations are invalid: " + err.Error()
			c.headers = nil
			l.conn.log.Warn().Str("tool", visible.Name(it.name)).Str("reason", c.reason).Msg("tool withheld")
		}
		c.open = n == nil && policy.TakesUndeclared(l.conn.cfg.Arguments, it.name)
	} else {
		c.open = l.conn.cfg.Arguments.Open
	}
	c.entry = gen.policy.Bind(bind)
	return c
}

// Page sizes of the merged lists.
const (
	pageItems = 1000
	pageBytes = 4 << 20
	cursorTTL = time.Hour
)

func (x *Exchange) listTools() answer     { return x.list(toolList) }
func (x *Exchange) listResources() answer { return x.list(resourceList) }
func (x *Exchange) listTemplates() answer { return x.list(templateList) }
func (x *Exchange) listPrompts() answer   { return x.list(promptList) }

// list answers with one page of a merged list.
func (x *Exchange) list(k listKind) answer {
	s := x.s
	s.gather(x.ctx)
	fresh, cancel := context.WithTimeout(x.ctx, listGrace)
	for _, l := range s.fleet.links() {
		if err := l.catalog.fresh(fresh); err != nil {
			s.relay.log.Warn().Err(err).Msg("list answered with what the server offered before")
		}
	}
	cancel()
	v := s.fleet.view()
	s.mu.Lock()
	s.listed[k.capability], s.listedAt[k.capability] = v, time.Now()
	s.mu.Unlock()
	items, at := v.lists[k.method], 0
	binding := s.peer.Principal + "\x00" + k.method
	if !s.single {
		binding += "\x00" + s.id
	}
	if cursor := x.param("cursor"); cursor.Present() {
		text, ok := x.text("cursor")
		if !ok {
			return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "cursor is not a string")
		}
		if text != "" {
			payload, err := s.relay.box.Open("cursor", binding, text)
			if err != nil {
				return x.refuse(jsonrpc.CodeInvalidParams, stateRule, "Invalid cursor: "+err.Error())
			}
			at = resume(items, v, payload)
			if at < 0 {
				return x.refuse(jsonrpc.CodeInvalidParams, stateRule, "Invalid cursor: the list has changed meanwhile, start again without a cursor")
			}
		}
	}
	var b []byte
	size, end := 0, at
	for end < len(items) && end-at < pageItems && (size == 0 || size+len(items[end].raw) <= pageBytes) {
		size += len(items[end].raw) + 1
		end++
	}
	b = append(make([]byte, 0, size+256), '{')
	if x.modern {
		b = append(b, `"resultType":"complete",`...)
	}
	b = append(append(append(b, '"'), k.member...), `":[`...)
	for i, c := range items[at:end] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, c.raw...)
	}
	b = append(b, ']')
	if end < len(items) {
		payload := append(binary.BigEndian.AppendUint32(append([]byte(nil), v.stamp[:]...), uint32(end)), items[end-1].exposed...)
		b = jsonrpc.AppendQuote(append(b, `,"nextCursor":`...), s.relay.box.Seal("cursor", binding, payload, cursorTTL))
	}
	if x.modern {
		b = append(b, `,"ttlMs":0,"cacheScope":"private","_meta":{"`+metaServerInfo+`":`...)
		b = append(append(b, s.relay.ownInfo()...), '}')
	}
	return x.result(append(b, '}'))
}

// resume returns where a list goes on after the item that a cursor names, or -1 if the
// list changed and the item is gone.
func resume(items []*capability, v *view, payload []byte) int {
	if len(payload) < 12 {
		return -1
	}
	at := int(binary.BigEndian.Uint32(payload[8:12]))
	last := string(payload[12:])
	if at > 0 && at <= len(items) && (string(payload[:8]) == string(v.stamp[:]) || items[at-1].exposed == last) {
		return at
	}
	for i, c := range items {
		if c.exposed == last {
			return i + 1
		}
	}
	return -1
}

// Inventory is what a client would see, what it would not, and why.
type Inventory struct {
	Servers      []ServerStatus
	Capabilities []CapabilityStatus
}

// ServerStatus says whether a server is up, and in which protocol version.
type ServerStatus struct{ Name, Era, Version, Error string }

// CapabilityStatus says what the policy makes of a capability.
type CapabilityStatus struct {
	Kind, Server, Name, Exposed, Action, Rule, Reason string
	Hidden                                            bool
}

// Inventory waits until every server is up or has failed, or ctx ends, and returns what
// the session sees.
func (s *Session) Inventory(ctx context.Context) Inventory {
	var inv Inventory
	s.fleet.introduce()
	for _, c := range s.fleet.all() {
		status := ServerStatus{Name: c.name}
		select {
		case <-c.settled():
		case <-ctx.Done():
		}
		switch l := c.up(); {
		case l != nil && l.modern:
			status.Era, status.Version = "modern", l.version
		case l != nil:
			status.Era, status.Version = "legacy", l.version
		case c.failed() != nil:
			status.Error = c.failed().Error()
		default:
			status.Error = "it is still starting"
		}
		inv.Servers = append(inv.Servers, status)
	}
	for _, c := range s.fleet.view().all {
		d := c.entry.Base()
		inv.Capabilities = append(inv.Capabilities, CapabilityStatus{Kind: c.kind.String(), Server: c.conn.name, Name: c.called, Exposed: c.exposed,
			Action: d.Action.String(), Rule: d.Rule, Reason: c.reason, Hidden: !c.visible()})
	}
	return inv
}

// Findings holds the policy against what the servers that are up offer: patterns that match
// nothing, and rules that do not fit the tools that they name.
func (s *Session) Findings() config.Problems {
	v := s.fleet.view()
	var caps []rules.Capability
	for _, c := range v.all {
		if c.narrow == nil || c.reason == "" {
			caps = append(caps, c.rule())
		}
	}
	return append(policy.Findings(v.gen.cfg, v.gen.policy, caps), v.unused()...)
}

// rule is the capability as the policy's checks see it: with the arguments that are sent.
func (c *capability) rule() rules.Capability {
	r := rules.Capability{Kind: c.kind, Server: c.conn.name, Name: c.called, Open: policy.TakesUndeclared(c.conn.cfg.Arguments, c.name)}
	switch {
	case c.broad != nil:
		r.InputSchema = c.broad.Raw()
	case c.input != nil:
		r.InputSchema = c.input.Raw()
	}
	return r
}
