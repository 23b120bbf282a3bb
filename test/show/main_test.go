package main

import (
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	const pass = `{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`
	tests := []struct {
		name, in string
		ok       bool
		want     string
	}{
		{"nothing", "", false, ""},
		{"pass", `{"Action":"output","Package":"p","Test":"T","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"T"}
` + pass, true, "ok  \tp\t0.1s\n"},
		{"figure", `{"Action":"output","Package":"p","Test":"T","Output":"# 3/3\n"}
` + pass, true, "# 3/3\nok  \tp\t0.1s\n"},
		{"skip", `{"Action":"output","Package":"p","Test":"T","Output":"=== RUN   T\n"}
{"Action":"output","Package":"p","Test":"T","Output":"    a_test.go:4: no x\n"}
{"Action":"output","Package":"p","Test":"T","Output":"        installed\n"}
{"Action":"output","Package":"p","Test":"T","Output":"--- SKIP: T (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"T"}
` + pass, true, "SKIP p T: a_test.go:4: no x installed\nok  \tp\t0.1s\n\nSkipped, 1:\nSKIP p T: a_test.go:4: no x installed\n"},
		{"fail", `{"Action":"output","Package":"p","Test":"T","Output":"why\n"}
{"Action":"fail","Package":"p","Test":"T"}
{"Action":"output","Package":"p","Output":"FAIL\tp\n"}
{"Action":"fail","Package":"p"}
`, false, "why\nFAIL\tp\n"},
		{"panic", `{"Action":"output","Package":"p","Test":"T","Output":"panic: x\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\n"}
{"Action":"fail","Package":"p"}
`, false, "FAIL\tp\npanic: x\n"},
		{"build", `{"Action":"build-output","ImportPath":"p","Output":"p.go:1:1: no\n"}
{"Action":"build-fail","ImportPath":"p"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
`, false, "p.go:1:1: no\n"},
		{"not JSON", "go: no such module\n" + pass, true, "go: no such module\nok  \tp\t0.1s\n"},
		{"last line without end", strings.TrimSuffix(pass, "\n"), true, "ok  \tp\t0.1s\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := show(strings.NewReader(test.in), &out)
			if err != nil || ok != test.ok || out.String() != test.want {
				t.Errorf("got %t, %v, %q\nwant %t, %q", ok, err, out.String(), test.ok, test.want)
			}
		})
	}
}
