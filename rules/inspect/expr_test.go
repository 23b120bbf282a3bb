package inspect_test

import (
	"testing"

	"github.com/expr-lang/expr"

	"github.com/mcpfirewall/mcpfirewall/rules/inspect"
)

// environment is what a caller of this package offers to rules.
type environment struct {
	URL    func(string) (*inspect.URL, error)          `expr:"url"`
	IP     func(string) (*inspect.IP, error)           `expr:"ip"`
	Email  func(string) (*inspect.Email, error)        `expr:"email"`
	Emails func(string) ([]inspect.Email, error)       `expr:"emails"`
	Path   func(string, string) (*inspect.Path, error) `expr:"path"`
}

func TestFieldsInRules(t *testing.T) {
	env := environment{inspect.ParseURL, inspect.ParseIP, inspect.ParseEmail, inspect.ParseEmails, inspect.ParsePath}
	for rule, want := range map[string]any{
		`url("http://u@[::ffff:7f00:1]:81/a?b#c").scheme`: "http",
		`url("http://u@[::ffff:7f00:1]:81/a?b#c").host`:   "127.0.0.1",
		`url("https://a.example.co.uk").domain`:           "example.co.uk",
		`url("http://localhost:81/a?b#c").port`:           81,
		`url("http://localhost/a?b#c").path`:              "/a",
		`url("http://localhost/a?b#c").query`:             "b",
		`url("http://localhost/a?b#c").fragment`:          "c",
		`url("http://u@localhost").user`:                  true,
		`url("http://127.1").ip`:                          "127.0.0.1",
		`url("http://127.1").private`:                     true,
		`url("http://127.1").public`:                      false,
		`url("http://127.1").loopback`:                    true,
		`url("http://127.1").linkLocal`:                   false,
		`url("http://127.1").metadata`:                    false,
		`url("https://a.b.com").in("x.com", ["b.com"])`:   true,
		`url("https://a.b.com").in(["x.com"])`:            false,
		`not url("https://a.b.com").in("b.com")`:          false,
		`ip("10.1").canonical`:                            "10.0.0.1",
		`ip("10.1").version`:                              4,
		`ip("fe80::1%a").zone`:                            "a",
		`ip("64:ff9b::1.1.1.1").embedded`:                 "1.1.1.1",
		`ip("10.1").in("10.0.0.0/8")`:                     true,
		`ip("224.0.0.1").multicast`:                       true,
		`ip("169.254.169.254").metadata`:                  true,
		`ip("169.254.169.254").linkLocal`:                 true,
		`ip("1.1.1.1").public`:                            true,
		`ip("1.1.1.1").private`:                           false,
		`ip("1.1.1.1").loopback`:                          false,
		`email("A B <a@B.com>").address`:                  "a@b.com",
		`email("A B <a@B.com>").local`:                    "a",
		`email("A B <a@x.B.com>").host`:                   "x.b.com",
		`email("A B <a@x.B.com>").domain`:                 "b.com",
		`email("A B <a@B.com>").name`:                     "A B",
		`all(emails("a@x.com, b@y.com"), .in("x.com"))`:   false,
		`emails("a@x.com, b@y.com")[1].address`:           "b@y.com",
		`path("a/../b.TXT", "").clean`:                    "b.TXT",
		`path("a/../b.TXT", "").abs`:                      "",
		`path("a/b.TXT", "").base`:                        "b.TXT",
		`path("a/b.TXT", "").dir`:                         "a",
		`path("a/b.TXT", "").ext`:                         ".txt",
		`path("a/.b", "").hidden`:                         true,
		`path("a/b", "").hasSymlink`:                      false,
		`path("a/b", "").exists`:                          false,
	} {
		program, err := expr.Compile(rule, expr.Env(env))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if got, err := expr.Run(program, env); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", rule, got, err, want)
		}
	}
	for _, rule := range []string{
		`url("//evil.com").host`, `url("https://a.com").in("a.com:80")`, `ip("0177.0.0.1").private`, `email("a@b.com, c@d.com").host`, `path("~/x", "").clean`, `path("a", "").within("/")`,
	} {
		program, err := expr.Compile(rule, expr.Env(env))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if got, err := expr.Run(program, env); err == nil {
			t.Errorf("%s: got %v without an error", rule, got)
		}
	}
}
