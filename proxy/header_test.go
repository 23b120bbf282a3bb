package proxy

import (
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/vault"
)

func TestCheckHeader(t *testing.T) {
	secrets := []vault.Secret{{Name: "vault:secret/a#b", Value: "good-value"}, {Name: "vault:secret/crm#key", Value: "the-key\n"}, {Name: "env:X", Value: "one\r\ntwo: x"}}
	for text, want := range map[string]string{
		"Bearer ${vault:secret/a#b}":                  "",
		"${vault:secret/a#b} ${vault:secret/crm#key}": "the value of ${vault:secret/crm#key} ends with a line end",
		"${env:X}": "the value of ${env:X} holds a line end or another control character",
		"a\x01b":   "the value holds a line end",
	} {
		value := map[string]string{"Bearer ${vault:secret/a#b}": "Bearer good-value", "${vault:secret/a#b} ${vault:secret/crm#key}": "good-value the-key\n",
			"${env:X}": "one\r\ntwo: x", "a\x01b": "a\x01b"}[text]
		got := ""
		if err := CheckHeader(text, value, secrets); err != nil {
			got = err.Error()
		}
		if want == "" && got != "" {
			t.Errorf("%q: %s", text, got)
		}
		mustContain(t, got, want)
		mustLack(t, got, "the-key", "good-value", "two")
	}
}

// TestHeaderThatCannotBe holds that a value which no header can hold is named, is not put in
// force, and gives way to one that can be.
func TestHeaderThatCannotBe(t *testing.T) {
	w := newWeb(t)
	path, set := secretFile(t, "one\ntwo")
	r := testRelay(t, func(c *config.Config) {
		c.Servers = append(c.Servers, webServer("web", w.URL+"/mcp", map[string]string{"Authorization": "Bearer ${file:" + path + "}"}))
	})
	c := newClient(t, r).legacy(`{}`)
	mustLack(t, c.until("echo", `{}`, "server web is not available: its credentials cannot be used"), path)
	mustContain(t, c.s.fleet.all()[0].failed().Error(), "headers.Authorization: the value of ${file:"+path+"} holds a line end")
	set(password(1))
	c.until("echo", `{}`, fingerprint("Bearer "+password(1)))
	set("again\nnone")
	set(password(2))
	c.until("echo", `{}`, fingerprint("Bearer "+password(2)))
}
