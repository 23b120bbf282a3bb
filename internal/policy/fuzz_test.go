package policy_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/policy"
)

// FuzzCompile checks that what can be read of a file with problems makes Compile neither
// panic nor succeed, and adds nothing that it cannot place.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "config", "testdata", "problems", "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range append(files, filepath.Join("..", "..", "cmd", "mcpfirewall", "testdata", "problems.yaml")) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(text))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := config.Parse("f", data)
		if cfg == nil {
			return
		}
		p, compileErr := policy.Compile(cfg)
		var problems config.Problems
		switch {
		case compileErr == nil && (err != nil || p == nil):
			t.Fatalf("a file compiles that has problems: %v", err)
		case compileErr != nil && (!errors.As(compileErr, &problems) || len(problems) < len(cfg.Wrong())):
			t.Fatalf("Compile returned %v, and the file has %v", compileErr, err)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 {
				t.Errorf("%+v has no place", p)
			}
		}
	})
}
