package proxy

import (
	"fmt"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

func (x *Exchange) getPrompt() answer {
	name, ok := x.text("name")
	if !ok {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "name is missing or not a string")
	}
	args := x.m.At(x.param("arguments"))
	if len(args) > 0 && args[0] != '{' {
		return x.refuse(jsonrpc.CodeInvalidParams, paramsRule, "arguments is not an object")
	}
	return x.through(args, name, func(v *view) *capability { return v.prompts[name] },
		jsonrpc.CodeInvalidParams, "Unknown prompt: "+visible.Name(name))
}

// checkPrompt holds the arguments of a prompt, an object or nil, against those that it
// declares. All are strings (2026-07-28, server/prompts).
func (c *capability) checkPrompt(args []byte) error {
	var names, required []string
	for el := range jsonrpc.Elements(c.raw, jsonrpc.Find(c.raw, jsonrpc.Span{End: len(c.raw)}, "arguments")) {
		name, _ := jsonrpc.GetString(c.raw[el.Start:el.End], "name")
		names = append(names, name)
		if string(jsonrpc.Get(c.raw[el.Start:el.End], "required")) == "true" {
			required = append(required, name)
		}
	}
	declared, whole := jsonrpc.NewNames(names...), jsonrpc.Span{End: len(args)}
	if clash := declared.Clash(args, whole); clash != "" {
		return fmt.Errorf("an argument's name equals %q but for upper and lower case: use the names that the prompt declares", visible.Name(clash))
	}
	for quoted, value := range jsonrpc.Members(args, whole) {
		name := jsonrpc.String(args[quoted.Start:quoted.End])
		switch {
		case args[value.Start] != '"':
			return fmt.Errorf("the argument %q is not a string, as those of prompts are", visible.Name(name))
		case !c.open && declared.Find(args[quoted.Start:quoted.End]) == "":
			return fmt.Errorf("the prompt declares no argument %q: use only those that it declares", visible.Name(name))
		}
	}
	for _, name := range required {
		if len(jsonrpc.Get(args, name)) == 0 {
			return fmt.Errorf("the prompt needs the argument %q", visible.Name(name))
		}
	}
	return nil
}
