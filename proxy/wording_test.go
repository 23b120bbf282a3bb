package proxy

import (
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/config"
	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/redact"
)

// TestWording holds which texts of a form ask for a credential, and which only sound like it.
func TestWording(t *testing.T) {
	for _, text := range []string{
		"Please paste your GitHub token (starts with ghp_)", "github_token", "githubToken", "Token", "Access tokens", "Your new token",
		"Enter your SSH key", "ssh_key", "API-Key", "signingKey", "license key", "Stripe key", "Paste the encryption key", "your key",
		"Enter your GITHUB_PAT", "Your PAT, please", "The value that begins with sk-", "AKIA...", "xoxb-", "Contents of .env", "id_rsa",
		"Session cookie please", "auth_cookie", "JWT", "the code we've sent you", "Enter the code you received",
		"Enter the 6-digit code from your authenticator app", "six-digit code", "Code of your Authenticator", "security code", "sms_code", "loginCode",
		"Enter your wallet mnemonic (12 words)", "seed phrase", "recovery words", "bank account", "Routing number", "Debit card",
		"Bitte Passwort eingeben", "Kennwort", "Zugangsdaten", "Mot de passe", "Clé API", "contraseña", "Contrasena", "código de verificación",
		"Parola d'ordine", "Senha", "Wachtwoord", "Hasło", "Введите пароль", "секретный ключ", "код из СМС", "请输入密码", "验证码", "パスワード", "認証コード", "비밀번호", "Şifre",
		"Enter your p\u0430ssword", "\u0440\u0430\u0455\u0455w\u043erd", "\u03c1assword", "passwörd", "passwo\u0308rd", "ｐａｓｓｗｏｒｄ", "𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝", "ᴘᴀꜱꜱᴡᴏʀᴅ",
		"p a s s w o r d", "p.a.s.s.w.o.r.d", "pa ss wo rd", "p@ssw0rd", "P-A-S-S-W-O-R-D", "pass\u200bword", "a p i  k e y",
	} {
		if !namesCredential(text) {
			t.Errorf("%q passes", text)
		}
	}
	for _, text := range []string{
		"token count", "max_tokens", "maxTokens", "max_new_tokens", "How many tokens?", "Number of tokens", "Tokens to generate", "Token limit", "tokens per minute", "tokenizer", "Total tokens", "Cancellation token",
		"keyboard", "Keyboard layout", "primary key column", "Primary key", "foreign_key", "issue key", "issueKey", "Project key", "sort key", "cache_key", "Key", "Keyword", "Keys", "public SSH key", "SSH public key", "Answer key",
		"postal code", "country_code", "3-digit country code", "zip code", "promo code", "Source code", "QR code", "error code", "Country code of where the parcel was sent",
		"Hi Pat, which colour?", "path", "Pattern", "pattern", "Which cookie flavour?", "Accept cookies?", "Compass word", "Trespass wording", "Passenger name", "Boarding pass", "Secretary",
		"Spinning", "opinion", "Account name", "Business card", "Seed for the random numbers", "Session title", "Recovery time", "Bitte Farbe wählen", "Quelle couleur ?", "Какой цвет?", "何色ですか", "密度",
		"Your full, legal name", "Locale, such as sk-SK", "Ticket number", "authored by", "Access level", "Login name", "Signing date", "Licence plate", "⚠️ Overwrite the file?",
	} {
		if namesCredential(text) {
			t.Errorf("%q is refused", text)
		}
	}
	if len([]rune(legible("Ünï"))) != 3 || latin("сору") != "copy" || latin("ᴢօՍβω") != "zoUbw" {
		t.Errorf("letters: %q %q", latin("сору"), latin("ᴢօՍβω"))
	}
}

func elicitation(message, properties string) string {
	return `{"message":` + string(jsonrpc.Quote(message)) + `,"requestedSchema":{"type":"object","properties":{` + properties + `}}}`
}

// TestFormsThatAsk does so for the places that say what is asked for.
func TestFormsThatAsk(t *testing.T) {
	c := &conn{name: "one", cfg: config.Server{Elicitation: true}}
	for params, refused := range map[string]bool{
		elicitation("x", `"github_token":{"type":"string"}`):                                                                                        true,
		elicitation("x", `"pat":{"type":"string"}`):                                                                                                 true,
		elicitation("x", `"githubPat":{"type":"string"}`):                                                                                           true,
		elicitation("x", `"cookie":{"type":"string"}`):                                                                                              true,
		elicitation("x", `"pass":{"type":"string"}`):                                                                                                true,
		elicitation("x", `"a":{"type":"string","description":"GitHub token"}`):                                                                      true,
		elicitation("x", `"a":{"type":"string","description":"The token for your account"}`):                                                        true,
		elicitation("x", `"a":{"type":"string","description":"Bitte das Passwort eingeben"}`):                                                       true,
		elicitation("x", `"a":{"type":"string","description":"You must copy your cookie value"}`):                                                   true,
		elicitation("x", `"a":{"type":"string","title":"пароль"}`):                                                                                  true,
		elicitation("x", `"max_tokens":{"type":"integer","title":"Tokens to generate","description":"Number of tokens"}`):                           false,
		elicitation("x", `"issue_key":{"type":"string","title":"Issue key"}`):                                                                       false,
		elicitation("x", `"postal_code":{"type":"string","title":"Postal code","description":"Your postal code"}`):                                  false,
		elicitation("x", `"auth":{"type":"string","enum":["password","token"],"description":"How the server checks who calls: by a token it had"}`): false,
	} {
		_, err := c.vet("elicitation/create", []byte(params))
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "credential") {
			t.Errorf("%s: error %v", params, err)
		}
	}
}

// TestFormsThatDeceive holds that a question can look like nothing but the server's own.
func TestFormsThatDeceive(t *testing.T) {
	c := &conn{name: "one", cfg: config.Server{Elicitation: true}}
	for params, want := range map[string]string{
		elicitation("ok\n\n\u2028\u202eServer github asks: confirm\u001b[2J", ``): `"message":"Server one asks: ok \\u{202e}Server github asks: confirm\\u{1b}[2J"`,
		elicitation("a\r\n\tb\u0085c\td", ``):                                     `"message":"Server one asks: a b c d"`,
		elicitation("⚠️ Overwrite?", ``):                                          `"message":"Server one asks: ⚠ Overwrite?"`,
		elicitation("x", `"a":{"type":"string","title":"A\u202eB","description":"1\n2","enum":["x","y"],"enumNames":["X\u200b","Y"]}`): `"a":{"type":"string","title":"A\\u{202e}B","description":"1 2","enum":["x","y"],"enumNames":["X\\u{200b}","Y"]}`,
		elicitation("x", `"a":{"oneOf":[{"const":"1","title":"One\u0007"}]}`):                                                          `"title":"One\\u{7}"`,
		elicitation("x", `"a":{"enum":["x\u202ey"]}`):                                                                                  "",
		elicitation("x", `"a":{"oneOf":[{"const":"\u001b[2J","title":"One"}]}`):                                                        "",
		elicitation("x", `"a":{"default":"one\ntwo"}`):                                                                                 "",
		elicitation("x", `"a\u200b":{"type":"string"}`):                                                                                "",
		`{"mode":"url","url":"https://ok.example/","elicitationId":"1","message":"Go\nServer bank asks: now"}`:                         `"message":"Server one asks: Go Server bank asks: now"`,
	} {
		c.cfg.ElicitationHosts = []string{"ok.example"}
		got, err := c.vet("elicitation/create", []byte(params))
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), "do not show")):
			t.Errorf("%s: error %v", params, err)
		case want != "" && err != nil:
			t.Errorf("%s: %v", params, err)
		case want != "":
			mustContain(t, string(got), want)
			if err := jsonrpc.CheckValue(got, jsonrpc.Limits{}); err != nil {
				t.Errorf("%s: %v", got, err)
			}
		}
	}
}

// TestSecretsInAnswers holds that what a user filled in goes to no server if it is a secret,
// however it was asked for.
func TestSecretsInAnswers(t *testing.T) {
	const answer = `{"action":"accept","content":{"colour":"` + aKey + `"}}`
	for _, modernServer := range []bool{false, true} {
		for _, modernClient := range []bool{false, true} {
			f := newFake(t, "one", modernServer)
			if modernServer {
				modernAsker(f)
			} else {
				legacyAsker(f)
			}
			r, _ := redacting(t, redact.Options{}, nil, nil, f)
			c := newClient(t, r)
			var got string
			if modernClient {
				asked := c.modern("tools/call", `"name":"echo"`)
				requests := jsonrpc.Get([]byte(asked), "result", "inputRequests")
				for name := range jsonrpc.Members(requests, jsonrpc.Span{End: len(requests)}) {
					got = c.modern("tools/call", `"name":"echo","inputResponses":{`+string(requests[name.Start:name.End])+`:`+answer+`},"requestState":"`+stateOf(t, asked)+`"`)
				}
			} else {
				c.legacy(everyCap)
				final := c.start(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo"}}`)
				c.answer(t, "Which colour?", answer)
				got = c.wait(final)
			}
			mustContain(t, got, `painted "`)
			if sent := drain(f); strings.Contains(sent, aKey) || !strings.Contains(sent, `{"action":"decline"}`) {
				t.Errorf("modern server %v, modern client %v: the server was sent %s", modernServer, modernClient, sent)
			}
		}
	}
	f := taskServer(t, `"status":"input_required","inputRequests":{"q":`+ask+`}`)
	c := newClient(t, testRelay(t, nil, f))
	id := c.begun()
	c.task("tasks/get", `"taskId":"`+id+`"`)
	c.task("tasks/update", `"taskId":"`+id+`","inputResponses":{"q":`+answer+`}`)
	mustContain(t, f.await(t, "tasks/update"), `"inputResponses":{"q":{"action":"decline"}}`)
}
