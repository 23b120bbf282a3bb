package trial

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
)

// A toolList is a recorded list of a server's tools.
type toolList struct {
	names []string
	tools map[string][]byte // definitions by name
}

// readList reads a list of tools: the result of tools/list, the whole response, or the array
// alone.
func readList(path string) (*toolList, error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimSpace(raw)
	if err := jsonrpc.CheckValue(raw, jsonrpc.Limits{}); err != nil {
		return nil, fmt.Errorf("%s is not the JSON that a server sends: %w", path, err)
	}
	array := raw
	if raw[0] == '{' {
		if array = jsonrpc.Get(raw, "tools"); len(array) == 0 {
			array = jsonrpc.Get(raw, "result", "tools")
		}
	}
	if len(array) == 0 || array[0] != '[' {
		return nil, fmt.Errorf("%s holds no list of tools: it is the result of tools/list, or the array in it", path)
	}
	l := &toolList{tools: map[string][]byte{}}
	for el := range jsonrpc.Elements(array, jsonrpc.Span{End: len(array)}) {
		def := array[el.Start:el.End]
		name, ok := jsonrpc.GetString(def, "name")
		if !ok || name == "" {
			return nil, errors.New("a tool in the list has no name")
		}
		if _, twice := l.tools[name]; twice {
			return nil, fmt.Errorf("the list holds the tool %q twice", name)
		}
		l.tools[name] = def
		l.names = append(l.names, name)
	}
	slices.Sort(l.names)
	return l, nil
}
