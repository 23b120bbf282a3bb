package proxy

import (
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"golang.org/x/text/unicode/norm"
)

// This file finds out whether a text asks for what a form must not ask for: passwords, API
// keys, access tokens, payment credentials (2025-11-25, client/elicitation: "Servers MUST
// NOT use form mode elicitation to request sensitive information"). No list of words is
// complete: what a user fills in is held against the detectors of secrets too (vetAnswer).

// credential matches the English names of credentials, and how well-known ones begin.
var credential = onuse.Regexp(`(?i)` + strings.Join([]string{
	`pass(word|wd|phrase|code)|\bpass[ _-](word|wd|phrase|code)|\bpwd\b|\bpsswd\b|secrets?\b|credential`,
	`(access|auth|bearer|refresh|api|session)[ _-]?token|\btokens?\b|\bjwts?\b|(?-i:\bPAT\b)`,
	`(secret|api|access|private)[ _-]?key|\byour key\b`,
	`\b(ssh|priv|signing|licen[cs]e|encryption|decryption|master|gpg|pgp|deploy|auth(entication|orization)?|recovery|wallet|activation|security|rsa|ed25519|tls|ssl|wpa2?|pre-?shared|storage|subscription|hmac|aes|openai|anthropic|stripe|aws|azure|github|gitlab|google|slack|account)[ _-]?keys?\b`,
	`\b(session|auth(entication)?|login|browser|http)[ _-]?cookies?\b|\bcookie[ _-]?(header|value|string)\b`,
	`\b(otp|totp|2fa|mfa|pin|cvv2?|cvc2?)\b|authenticator|one[ _-]?time[ _-]?(code|pass(word|code)?)`,
	`\b(verification|security|log-?in|sign-?in|access|sms|auth(entication)?|two-?factor|backup|recovery|reset|pin)[ _-]?codes?\b`,
	`\b([0-9]+|four|five|six|seven|eight)[ _-]?digits?[ _-]?(code|pin|number from)\b|\bcode (that |which |was |has been |is |we |you |i |just |have |we've |you've )*(sent|received|texted|e-?mailed)\b`,
	`mnemonic|\b(seed|recovery|backup)[ _-]?(phrase|words?)|recovery[ _-]?key|\bkeystore\b|\bid_rsa\b|\bkubeconfig\b|(^|[^\w])\.(env|netrc|npmrc|pgpass)\b`,
	`(credit|debit)[ _-]?card|card[ _-]?number|social[ _-]?security|\bssn\b|bank[ _-]?account|routing[ _-]?number`,
	`(?-i:\b(gh[opsur]_|github_pat_|glpat-|AKIA|ASIA|AIza|xox[abeprs]-|hf_|npm_|sk_live|sk_test|sk-($|[^A-Z]))|-----BEGIN)`,
}, "|"))

// fieldCredential matches names of fields that would say less within a text.
var fieldCredential = onuse.Regexp(`(?i)^([a-z]+ )?pat$|^((user|db|my|log ?in|admin|root|smtp|ssh) )?(pass|pw)$|^cookie$`)

// harmless matches what a credential's name is part of without being one.
var harmless = onuse.Regexp(`(?i)\b((max(imum)?|min(imum)?|num(ber)?( of)?|how many|count of|stop|special|cancel(lation)?)[ _-]*(new[ _-])?tokens?|(total|input|output|prompt|completion|context)[ _-]?tokens)\b` +
	`|\btokens?[ _-]*(counts?|limits?|budgets?|usage|lengths?|size|window|symbols?|amount|supply|price|to (generate|produce|use|sample|predict)|per (second|minute|hour|day|request|call|message))\b` +
	`|\bpublic[ _-](ssh|gpg|pgp|rsa|ed25519|signing|encryption)?[ _-]?keys?\b`)

// foreign matches the names of credentials in other languages, as legible returns them.
var foreign = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)` + legible(strings.Join([]string{
		`passwort|kennwort|losungswort|geheimzahl|zugangsdaten|anmeldedaten|(zugangs|zugriffs|sicherheits|bestätigungs|verifizierungs|einmal)-?(code|schlüssel|token)|(privater?|geheimer?|api|ssh)[ -]?schlüssel|kreditkarte`, // de
		`mots? de passe|code secret|code de (vérification|sécurité|confirmation)|clé (api|privée|secrète|ssh|d.accès)|\bjeton\b|carte (bancaire|de crédit)`,                                                                    // fr
		`contraseña|clave (privada|secreta|api|ssh|de (acceso|api))|código de (seguridad|verificación|acceso)|tarjeta de crédito|frase (semilla|secreta)`,                                                                      // es
		`parola d.ordine|codice di (sicurezza|verifica|accesso)|chiave (privata|segreta|api|ssh|di accesso)|carta di credito|credenziali`,                                                                                      // it
		`\bsenhas?\b|palavra[ -]passe|chave (privada|secreta|api|ssh|de (acesso|api))|código de (verificação|segurança|acesso)|cartão de crédito`,                                                                              // pt
		`wachtwoord|toegangscode|pincode|(beveiligings|verificatie)code|(geheime|privé)[ -]?sleutel`,                                                                                                                           // nl
		`\bhasł(o|a|em)\b|kod (weryfikacyjny|dostępu|pin|sms)|klucz (prywatny|api|ssh|dostępu)|karty kredytowej`,                                                                                                               // pl
		`парол|токен|секретн\pL* (ключ|слов|фраз)|(приватн|закрыт)\pL* ключ|ключ (api|доступа)|код (подтверждения|доступа|из (смс|sms))|пин-?код|уч[её]тные данные|номер карты`,                                                // ru
		`密码|密碼|口令|令牌|验证码|驗證碼|私钥|私鑰|密钥|密鑰|助记词|助記詞|信用卡`,                                                                                                                                                                          // zh
		`パスワード|暗証番号|認証コード|確認コード|秘密鍵|アクセスキー|APIキー|トークン|クレジットカード`,                                                                                                                                                                // ja
		`비밀번호|인증번호|인증 ?코드|개인 ?키`, // ko
		`lösenord|adgangskode|\bpassord\b|salasana|\bheslo\b|şifre|jelszó`,
	}, "|")))
})

// unbroken are names that are looked for in a text without its spaces and punctuation too.
var unbroken = onuse.Regexp(`password|passphrase|passcode|passwort|apikey|apitoken|accesstoken|secretkey|privatekey|seedphrase|mnemonic|verificationcode`)

// hump matches where a word begins inside a camelCase name.
var hump = onuse.Regexp(`([\p{Ll}0-9])(\p{Lu})|(\p{Lu})(\p{Lu}\p{Ll})`)

// spaced returns a name with spaces between its words.
func spaced(name string) string {
	return strings.ReplaceAll(hump().ReplaceAllString(name, "$1$3 $2$4"), "_", " ")
}

// namesCredential reports whether the text holds the name of a credential.
func namesCredential(text string) bool {
	text = legible(text)
	if foreign().MatchString(text) {
		return true
	}
	latin := latin(text)
	for _, reading := range []string{latin, spaced(latin)} {
		if foreign().MatchString(reading) || credential().MatchString(harmless().ReplaceAllString(reading, " , ")) {
			return true
		}
	}
	return unbrokenIn(latin)
}

// unbrokenIn reports whether the text spells a credential's name from the beginning of a
// word on, whatever stands between the letters: "p a s s w o r d", "p@ss-w0rd".
func unbrokenIn(text string) bool {
	var squeezed strings.Builder
	begins := map[int]bool{} // where in squeezed a word begins
	within := false
	for _, r := range strings.ToLower(text) {
		if plain, ok := leet[r]; ok {
			r = plain
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			within = false
			continue
		}
		if !within {
			begins[squeezed.Len()] = true
		}
		within = true
		squeezed.WriteRune(r)
	}
	for _, at := range unbroken().FindAllStringIndex(squeezed.String(), -1) {
		if begins[at[0]] {
			return true
		}
	}
	return false
}

// leet are characters that stand for the letters that they look like.
var leet = map[rune]rune{'@': 'a', '4': 'a', '$': 's', '5': 's', '0': 'o', '1': 'i', '!': 'i', '3': 'e', '7': 't'}

// legible returns the text as it reads: without characters that do not show, and without
// the marks, widths and styles that letters can have.
func legible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Zs, r):
			return ' '
		case r >= ' ' && visible.Hidden(r) || unicode.Is(unicode.Mn, r):
			return -1
		}
		return r
	}, norm.NFKD.String(text))
}

// latin returns a legible text with Latin letters for those of other scripts that look the
// same.
func latin(text string) string {
	known := lookalikes()
	return strings.Map(func(r rune) rune {
		if l, ok := known[r]; ok {
			return l
		}
		return r
	}, text)
}

var lookalikes = sync.OnceValue(func() map[rune]rune {
	const (
		strange = "асԁеһіјӏкморԛѕтухузԝвнАВСЕНІЈКМОРЅТУХЗԌԚԜ" + // Cyrillic
			"αβγεηικνορστυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + // Greek
			"օսհոցԼՕՍ" + // Armenian
			"ıłøđħɑɡɩʀɪʏᴀʙᴄᴅᴇꜰɢʜᴊᴋʟᴍɴᴏᴘꜱᴛᴜᴠᴡᴢ" // Latin
		letters = "acdehijlkmopqstyxyzwbhABCEHIJKMOPSTYXZGQW" +
			"abyenikvopotuxwABEZHIKMNOPTYX" +
			"ouhngLOU" +
			"ilodhagiriyabcdefghjklmnopstuvwz"
	)
	m := map[rune]rune{}
	to := []rune(letters)
	for i, r := range []rune(strange) {
		m[r] = to[i]
	}
	return m
})

var (
	sentence = onuse.Regexp(`[.;:!?()\r\n]+`)
	request  = onuse.Regexp(`(?i)^\W*((please|now|then|first|next|also|just|kindly|you (must|should|need to|have to|can)|we need( you to)?)\W+)*(enter|type|provide|give|supply|insert|input|paste|copy|put|write|fill|specify|submit|send|state|tell|confirm|repeat|share|reveal|your|what|which)\b`)
	negation = onuse.Regexp(`(?i)\b(not|never|no|without)\b|n['’]t\b`)
	article  = onuse.Regexp(`(?i)^\W*(the|an?|your|my|this)\s+`)
)

// wantsCredential reports whether a text that may mention credentials asks for one: a
// sentence of it that begins like a request names one before it says "not", or it is in
// another language, whose requests are not known. A label counts where the text is one: it
// begins with the credential's name, or is little more than that.
func wantsCredential(text string, label bool) bool {
	for _, part := range sentence().Split(legible(text), -1) {
		no := negation().FindStringIndex(part)
		if label && no == nil {
			named := article().ReplaceAllString(strings.TrimSpace(part), "")
			first, _, _ := strings.Cut(named, " ")
			if words := len(strings.Fields(named)); namesCredential(first) || words <= 2 && namesCredential(named) || foreign().MatchString(part) {
				return true
			}
		}
		if no != nil {
			part = part[:no[0]]
		}
		if request().MatchString(part) && namesCredential(part) {
			return true
		}
	}
	return false
}
