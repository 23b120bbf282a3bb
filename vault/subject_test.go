package vault

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

func TestSubject(t *testing.T) {
	for _, s := range []string{"alice", "alice@example.com", "auth0|5f7c8ec7c33c6c004bbafe82", "Alice Smith", "CN=alice+O=x", "józef", "..a", "a..b",
		"S-1-5-21-1004", "system:serviceaccount:ns:sa", strings.Repeat("x", maxSubject)} {
		if wrong := checkSubject(s, true); wrong != "" {
			t.Errorf("%q is refused: it %s", s, wrong)
		}
	}
	for _, s := range []string{"", ".", "..", "...", "../root", "a/b", "/", "a/../b", `a\b`, `..\x`, "a#token", "a?version=1", "a%2fb", "%2e%2e", "*", "a*",
		"{user.subject}", "}", "a\x00", "a\nb", "a\rb", "\t", "\x7f", "\u0085", "\u2028", " a", "a ", "a\u00a0b", "\u200b", "ali\u200bce", "\u202ealice", "\ufeffa", "\xff",
		"a\xc0\xafb", strings.Repeat("x", maxSubject+1), "\ue000", "\U000e0041"} {
		if checkSubject(s, false) == "" {
			t.Errorf("%q is accepted", s)
		}
	}
	// In a list of Vault's a comma would begin another element, in a path it is a letter.
	if checkSubject("a,root", false) != "" || checkSubject("a,root", true) == "" {
		t.Error("a comma is not treated by where it stands")
	}
}

func TestPlaceholders(t *testing.T) {
	for in, perUser := range map[string]bool{
		"${vault:secret/users/{user.subject}#token}":                   true,
		"${vault:secret/u-{user.subject}/x/{user.subject}#token}":      true,
		"${vault:pki/issue/web?common_name={user.subject}.x#data}":     true,
		"${vault:secret/users/alice#token}":                            false,
		"${vault:transit/datakey/plaintext/k?#plaintext}":              false,
		"${vault:ssh/sign/x?public_key=ssh-rsa AAAA+b/c==&ttl=1h#key}": false,
	} {
		parts, err := Parse(in)
		if err != nil {
			t.Errorf("Parse(%q): %v", in, err)
			continue
		}
		if parts[0].Ref.PerUser() != perUser || parts[0].Ref.Text != in {
			t.Errorf("Parse(%q): per user %v", in, parts[0].Ref.PerUser())
		}
	}
	for in, want := range map[string][2]string{
		"${vault:secret/{user}#x}":                  {"unknown placeholder", "${vault:secret/{user.subject}#x}"},
		"${vault:secret/{user.name}#x}":             {"unknown placeholder", "${vault:secret/{user.subject}#x}"},
		"${vault:secret/{User.Subject}#x}":          {"unknown placeholder", "${vault:secret/{user.subject}#x}"},
		"${vault:secret/{user.subjet}#x}":           {"unknown placeholder", "${vault:secret/{user.subject}#x}"},
		"${vault:secret/${user.subject}#x}":         {"no dollar sign", "${vault:secret/{user.subject}#x}"},
		"${vault:secret/{session.id}#x}":            {"unknown placeholder", ""},
		"${vault:secret/{}#x}":                      {"unknown placeholder", ""},
		"${vault:secret/{{user.subject}}#x}":        {"brace within braces", ""},
		"${vault:{user.subject}/x#y}":               {"choose the mount", ""},
		"${vault:secret/x#{user.subject}}":          {"choose the field", ""},
		"${vault:secret/../{user.subject}#x}":       {"dots only", ""},
		"${env:A{user.subject}}":                    {"not the name of an environment variable", ""},
		"${file:/secrets/{user.subject}}":           {"only references to Vault may", ""},
		"${keyring:github/{user.subject}}":          {"only references to Vault may", ""},
		"${keyring:github}":                         {"service and an account", ""},
		"${keyring:/x}":                             {"service and an account", ""},
		"${vault:pki/issue/web?common_name#x}":      {`parameter "common_name" no value`, ""},
		"${vault:pki/issue/web?=x#x}":               {"impossible name", ""},
		"${vault:pki/issue/web?a b=x#x}":            {"impossible name", ""},
		"${vault:pki/issue/web?a=%zz#x}":            {"begins no %XX", ""},
		"${vault:pki/issue/web?a=%00#x}":            {"is not text", ""},
		"${vault:pki/issue/web?a=%ff#x}":            {"is not text", ""},
		"${vault:pki/issue/web?{user.subject}=x#y}": {"impossible name", ""},
	} {
		_, err := Parse(in)
		p, ok := err.(*Problem)
		if !ok || !strings.Contains(p.Message, want[0]) || p.Suggestion != want[1] {
			t.Errorf("Parse(%q): %v; want %q", in, err, want)
		}
	}
}

func TestFill(t *testing.T) {
	parts, err := Parse("${vault:pki/issue/{user.subject}?cn={user.subject}.x&a=1%26%25&ip=1&ip=2+3#data}")
	if err != nil {
		t.Fatal(err)
	}
	path, params, err := Vars{Subject: "alice"}.fill(parts[0].Ref)
	if want := map[string][]string{"cn": {"alice.x"}, "a": {"1&%"}, "ip": {"1", "2+3"}}; err != nil || path != "pki/issue/alice" || !reflect.DeepEqual(params, want) {
		t.Errorf("got %q, %q, %v", path, params, err)
	}
	body, err := writeBody(params)
	if want := `{"a":"1&%","cn":"alice.x","ip":["1","2+3"]}`; err != nil || string(body) != want {
		t.Errorf("got %s, %v; want %s", body, err, want)
	}
	// The rest of the segment must not help the name to become dots.
	parts, err = Parse("${vault:secret/a/.{user.subject}#x}")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := (Vars{Subject: "."}).fill(parts[0].Ref); err == nil {
		t.Error("a name of dots is accepted")
	}
}

func TestPerUser(t *testing.T) {
	isolate(t)
	srv := vaultserver.Start(t)
	kv := srv.Client(t).KVv2("secret")
	for path, token := range map[string]string{"users/alice": "alice-token", "users/bob@x.com": "bob-token", "users": "s3cr3t-v4lue", "root": "s3cr3t-v4lue"} {
		if _, err := kv.Put(t.Context(), path, map[string]any{"token": token}); err != nil {
			t.Fatal(err)
		}
	}
	r := resolver(t, Options{Address: srv.Addr, Token: srv.RootToken})
	const ref = "${vault:secret/users/{user.subject}#token}"
	for subject, want := range map[string]string{"alice": "alice-token", "bob@x.com": "bob-token"} {
		g, err := r.Acquire(t.Context(), []string{ref}, Vars{Subject: subject})
		if err != nil || g.Values[0] != want {
			t.Errorf("%s: %v, want %s", subject, err, want)
			continue
		}
		if g.Secrets[0] != (Secret{"vault:secret/users/{user.subject}#token", want}) {
			t.Errorf("%s: the secret is called %q", subject, g.Secrets[0].Name)
		}
	}
	for _, subject := range []string{"", "..", "../root", ".", "bob@x.com?version=1", "carol", "Alice", "alice/", "alice#token"} {
		g, err := r.Acquire(t.Context(), []string{ref}, Vars{Subject: subject})
		if err == nil {
			t.Errorf("%q gets %q", subject, g.Values)
			continue
		}
		if subject != "carol" && subject != "Alice" && subject != "." && subject != "" && strings.Contains(err.Error(), subject+" ") {
			t.Errorf("%q: the error quotes the name: %v", subject, err)
		}
	}
	if _, _, err := r.Expand(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("without a user: %v", err)
	}
}

// FuzzSubject holds that a name never changes the shape of what it is put into.
func FuzzSubject(f *testing.F) {
	for _, s := range []string{"alice", "../x", "a/b", "a#b", "%2e", "..", "a\u202eb", "{user.subject}", "a,b"} {
		f.Add(s)
	}
	parts, err := Parse("${vault:secret/users/{user.subject}/x?cn=%7B{user.subject}%2C#token}")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		path, params, err := Vars{Subject: subject}.fill(parts[0].Ref)
		if err != nil {
			return
		}
		segments := strings.Split(path, "/")
		if len(segments) != 4 || segments[0] != "secret" || segments[1] != "users" || segments[2] != subject || segments[3] != "x" {
			t.Fatalf("%q becomes the path %q", subject, path)
		}
		if got := params["cn"]; len(got) != 1 || got[0] != "{"+subject+"," {
			t.Fatalf("%q becomes the parameter %q", subject, got)
		}
		if !utf8.ValidString(subject) || strings.ContainsAny(subject, "/\\#?%*{},\x00\n") || strings.Trim(subject, ".") == "" {
			t.Fatalf("%q is accepted", subject)
		}
	})
}
