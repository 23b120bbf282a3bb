package trial

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
	"github.com/mcpfirewall/mcpfirewall/rules"
)

// Check holds the policy against recorded lists of tools, files by the name of their server,
// as it is held against what the servers offer once they are up. The error says which list
// cannot be used.
func (p *Policy) Check(files map[string]string) (config.Problems, error) {
	servers := map[string]*config.Server{}
	for i := range p.Config.Servers {
		servers[p.Config.Servers[i].Name] = &p.Config.Servers[i]
	}
	var caps []rules.Capability
	var problems config.Problems
	for _, name := range slices.Sorted(maps.Keys(files)) {
		server := servers[name]
		if server == nil {
			return nil, fmt.Errorf("the configuration has no server %q", name)
		}
		list, err := readList(files[name])
		if err != nil {
			return nil, fmt.Errorf("reading the tools of the server %s: %w", name, err)
		}
		add := func(tool, broad string) {
			caps = append(caps, rules.Capability{Kind: rules.Tool, Server: name, Name: tool, Dir: server.Cwd,
				InputSchema: jsonrpc.Get(list.tools[broad], "inputSchema"), Annotations: jsonrpc.Get(list.tools[broad], "annotations"),
				Open: policy.TakesUndeclared(server.Arguments, broad)})
		}
		for _, tool := range list.names {
			add(tool, tool)
		}
		for _, n := range p.rules.Narrowings() {
			switch def := list.tools[n.Broad]; {
			case n.Server != name:
			case def == nil:
				problems = append(problems, p.Config.Problem("tools.narrow."+n.Name+".from", 0, fmt.Sprintf("the server has no tool %q", n.Broad), config.Nearest(n.Broad, list.names)))
			default:
				if _, err := n.Definition(def); err != nil {
					problems = append(problems, p.Config.Problem("tools.narrow."+n.Name, 0, "the narrowing does not fit the tool that it is made of: "+err.Error(), ""))
					continue
				}
				add(n.Name, n.Broad)
			}
		}
	}
	return append(problems, policy.FindingsOnTools(p.Config, p.rules, caps, len(files) == len(servers))...), nil
}
