package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Document is a file of another kind than the configuration that is read as strictly. It
// knows where in the file each value stands.
type Document struct{ cfg *Config }

// maxDocument bounds a file that is no configuration, in bytes: one of tests holds results.
const maxDocument = 8 << 20

// Decode reads a file, whose path is name, into the struct that into points to. Its fields
// have the tags of [Config]. The error is of type [Problems].
func Decode(name string, data []byte, into any) (*Document, error) {
	src := newSource(name, strings.TrimPrefix(string(data), "\ufeff"))
	if len(data) > maxDocument {
		return nil, Problems{src.problemAt(0, fmt.Sprintf("the file is larger than %d bytes", maxDocument), "")}
	}
	if p, ok := src.checkText(); !ok {
		return nil, Problems{p}
	}
	root, problem := parseYAML(src)
	if problem != nil {
		return nil, Problems{*problem}
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("finding the folder of %s: %w", name, err)
	}
	cfg := &Config{Path: path, src: src, nodes: make(map[string]place)}
	d := &decoder{cfg: cfg, src: src, misspelt: make(map[string]bool)}
	if root == nil {
		return nil, Problems{src.problemAt(0, "the file is empty", "")}
	}
	d.restrict(root, 0)
	if !refused(root) && d.want(root, yaml.MappingNode, "the file") {
		v := reflect.ValueOf(into).Elem()
		setDefaults(v)
		d.put("", nil, root)
		d.section(root, v, "")
	}
	if ps := d.problems(); len(ps) > 0 {
		return nil, ps
	}
	return &Document{cfg}, nil
}

// Problem reports something wrong in a value of the file, as [Config.Problem] does.
func (d *Document) Problem(path string, offset int, message, suggestion string) Problem {
	return d.cfg.Problem(path, offset, message, suggestion)
}

// Has reports whether the file has a value at a path.
func (d *Document) Has(path string) bool {
	_, ok := d.cfg.nodes[path]
	return ok
}

// Resolve makes an absolute path of one in the file, which counts from the file's folder.
func (d *Document) Resolve(path string) (string, error) {
	resolved, wrong := d.cfg.resolve(path, false)
	if wrong != "" {
		return "", fmt.Errorf("the path %s", wrong)
	}
	return resolved, nil
}

// Nearest returns the word that is most like the given one, "" if none is like it enough to be
// what was meant.
func Nearest(word string, words []string) string { return nearest(word, words) }
