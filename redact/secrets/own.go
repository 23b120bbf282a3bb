package secrets

import (
	"bytes"
	"strings"
)

// ownRule is a rule for what gitleaks lacks or finds in source code only. The
// pattern's first group that matched is the secret; secret narrows it down or
// refuses it.
type ownRule struct {
	id, pattern string
	secret      func(text []byte, start, end int) (int, int, bool)
}

// What stands between a name and its value in a dump of headers, in JSON, YAML
// and the literals of languages: quotes, a sign, perhaps a list's bracket.
const assign = `["'\x60]?\s{0,3}(?::|=>|=)\s{0,3}\[?\s{0,3}["'\x60]?`

// passwordRule finds passwords that people chose; see Options.Passwords.
const passwordRule = "password-assignment"

var ownRules = []ownRule{
	// RFC 7468, RFC 4716 (four dashes), OpenPGP's armor.
	{"private-key", `(?i)----[- ]{0,2}BEGIN[ A-Z0-9_-]{0,100}?(PRIVATE KEY)`, keyBlock},
	{"putty-private-key", `(?i)Private-Lines:[ \t]{0,4}(\d{1,4})`, puttyLines},
	// The identities of age and its plugins, in either case, as Bech32 allows.
	{"age-identity", `(?i)\bAGE-(?:SECRET-KEY|PLUGIN)(?:-[A-Z0-9]{1,32}){0,3}-?1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{40,}`, nil},
	// RFC 3986, section 3.2.1: the authority ends at a slash, a question or number
	// sign, but people write passwords with those unescaped; the last @ counts.
	{"url-password", `://[^\s"'<>@/:?#\\]{0,128}:([^\s"'<>\\]{1,256})@[^\s"'<>@]`, urlPassword},
	{"connection-string-password", `(?i)(?:[;?&\s"'({,:]|\b)(?:password|pwd|passwd|accountkey|sharedaccesskey|sharedaccesssignature)\s{0,3}=\s{0,3}` +
		`(?:'([^'\r\n]{1,256})'|"([^"\r\n]{1,256})"|([^\s;&"',)<>]{3,512}))`, connectionPassword},
	// RFC 7519; the parts that gitleaks' rule wants longer, and ends it lacks.
	{"json-web-token", `\bey[A-Za-z0-9_-]{12,1000}\.ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}`, nil},
	{"json-web-token", `\beyJ[A-Za-z0-9_-]{20,1000}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`, nil}, // JWE
	// RFC 9110, sections 11.6.2 and 11.7.2. The parameters of Digest (RFC 7616)
	// and of AWS' and other signatures are all of the rest.
	{"authorization-header", `(?i)authorization` + assign + `\s{0,3}(?:(?:Digest|Hawk|OAuth|AWS4-HMAC-SHA256|AWS4-ECDSA-P256-SHA256|Signature|SCRAM-SHA-256|Mutual|vapid)[ \t]{1,4}([^\r\n"'\x60]{0,16}[^\r\n]{8,1000})|` +
		`(?:Basic|Bearer|Token|Api-?Key|Negotiate|NTLM|SSWS|GoogleLogin|DPoP|PrivateToken|GNAP|SharedKey|JWT|Key)[ \t]{1,4}([^\s"'\x60\\,;]{6,1000})|` +
		`([^\s"'\x60\\,;]{16,1000}))`, headerValue},
	// RFC 6265. Each cookie's value is a secret, as far as it can be one.
	{"cookie", `(?i)\b(?:set-)?cookie` + assign + `([^\r\n"\x60]{1,1000})`, cookieValue},
	// X-Api-Key, Private-Token, Ocp-Apim-Subscription-Key and their like.
	{"credential-header", `(?i)[a-z0-9-]{0,40}(?:-key|-token|-secret|-auth|-password|-session-?id|\bapi-?key)` + assign + `([^\s"'\x60\\,;]{16,1000})`, longValue},
	{"url-parameter", `(?i)(?:token|secret|key|auth|sig|signature|credential|password|passwd|pwd|pass|assertion|verifier|session[_.-]?id|sid|jwt)=([^\s"'\x60\\&;#<>]{6,1000})`, urlParameter},
	{"aws-secret-key", `(?i)(?:secret[_ .-]?(?:access)?[_ .-]?key|secretaccesskey|aws[_ .-]?secret)` + assign + `([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)`, secretValue},
	{"aws-secret-key", `\b(?:AKIA|ASIA)[A-Z2-7]{16}[^A-Za-z0-9/+=]{1,3}(?:[\w .-]{0,40}["']?\s{0,3}[:=,]\s{0,8}["']?)?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)`, secretValue},
	{passwordRule, `(?i)(?:password|passwd|passphrase|pwd)["']?\s{0,3}(?::=?|=>|=)\s{0,3}(?:"([^"\s]{8,128})"|'([^'\s]{8,128})'|([^\s"',;(){}<>\[\]]{8,128})(?:[\s,;]|$))`, passwordValue},
}

// keyBlock widens the words PRIVATE KEY to the block that they head: up to its END
// mark, or to where it stops looking like one. Line breaks may be escaped.
func keyBlock(text []byte, start, end int) (int, int, bool) {
	head := bytes.LastIndex(bytes.ToUpper(text[max(0, start-130):start]), []byte("BEGIN"))
	if head < 0 {
		return 0, 0, false
	}
	head += max(0, start-130)
	for head > 0 && (text[head-1] == '-' || text[head-1] == ' ') {
		head--
	}
	body, solid := end, 0
	i := end
	for ; i < len(text) && i-end < maxKey; i++ {
		b := text[i]
		switch {
		case isWord(b) || b == '+' || b == '/' || b == '=':
			solid++
		case b == '-' || b == '\\' || b == ':' || b == ',' || b == '.' || b == '(' || b == ')' || b == ' ' || b == '\t' || b == '\r' || b == '\n':
			if b == '-' && bytes.HasPrefix(text[i:], []byte("--")) && i > body+40 {
				if n := endMark(text[i:]); n > 0 {
					return head, i + n, solid >= minKey
				}
				if bytes.HasPrefix(bytes.TrimLeft(text[i:min(len(text), i+16)], "- "), []byte("BEGIN")) {
					return head, i, solid >= minKey
				}
			}
		default:
			// A quote or another sign that no key holds: string pieces may be
			// joined by it, so look for the mark nearby.
			if n := joined(text[i:]); n > 0 {
				i += n - 1
				continue
			}
			return head, i, solid >= minKey
		}
	}
	return head, i, solid >= minKey
}

// minKey is how many signs a key has at least; gitleaks asks for 64 of any kind
// between the marks, and an Ed25519 key is 64 of Base64.
const minKey = 48

// maxKey bounds a key block: RSA keys of 16384 bits have some 13,000 signs.
const maxKey = 1 << 16

// endMark returns the length of the END mark that text begins with, or 0.
func endMark(text []byte) int {
	line := bytes.ToUpper(text[:min(len(text), 160)])
	at := bytes.Index(line, []byte("KEY"))
	if at < 0 || !bytes.Contains(line[:at], []byte("END")) {
		return 0
	}
	for at += 3; at < len(line) && (line[at] == '-' || bytes.HasPrefix(line[at:], []byte(" BLOCK")) || bytes.HasPrefix(line[at:], []byte(" ----"))); {
		if line[at] == '-' || line[at+1] == '-' {
			at++
		} else {
			at += len(" BLOCK")
		}
	}
	return at
}

// joined returns the length of what joins the pieces of a string literal, such as
// `" + "` or `",` and a line break, or 0.
func joined(text []byte) int {
	quotes := 0
	for i, b := range text[:min(len(text), 24)] {
		switch {
		case b == '"' || b == '\'' || b == '`':
			if quotes++; quotes == 2 {
				return i + 1
			}
		case b == '+' || b == ',' || b == '.' || b == '\\' || b == ' ' || b == '\t' || b == '\r' || b == '\n' || b == '&' || b == '>' || b == '|':
		default:
			return 0
		}
	}
	return 0
}

// puttyLines returns the lines that follow the count at text[start:end] in
// PuTTY's key files.
func puttyLines(text []byte, _, end int) (int, int, bool) {
	i := end
	for i < len(text) && strings.IndexByte(" \t\r\n\\nr", text[i]) >= 0 {
		i++
	}
	from := i
	for i < len(text) && i-from < maxKey && (isWord(text[i]) || strings.IndexByte("+/=\r\n\\", text[i]) >= 0) {
		i++
	}
	if mac := bytes.Index(text[from:i], []byte("Private")); mac >= 0 {
		i = from + mac // Private-MAC follows the lines
	}
	i = from + len(bytes.TrimRight(text[from:i], "\r\n"))
	return from, i, i-from >= minKey
}

// urlPassword refuses what stands in for a password, and ends it at the last @
// before the host.
func urlPassword(text []byte, start, end int) (int, int, bool) {
	value := text[start:end]
	// https://host:8080/path@2x is no password, nor is user:pass@ an example's.
	if slash := bytes.IndexAny(value, "/?#"); slash >= 0 && onlyDigits(value[:slash]) {
		return 0, 0, false
	}
	// One URL, not two.
	if bytes.Contains(value, []byte("://")) {
		return 0, 0, false
	}
	return start, end, !standIn(value)
}

// connectionPassword accepts a password only among other settings of a connection.
func connectionPassword(text []byte, start, end int) (int, int, bool) {
	around := line(text, start, end)
	if !namesConnection(around, '=', connectionNames) && !namesConnection(around, ':', []string{"jdbc"}) {
		return 0, 0, false
	}
	return start, end, !standIn(text[start:end])
}

// connectionNames are what stands before an equals sign in connection strings.
var connectionNames = []string{"server", "data source", "host", "user id", "uid", "user", "username", "dbname", "database",
	"initial catalog", "accountname", "endpoint", "port", "sharedaccesskeyname"}

// namesConnection reports whether one of the names stands before the sign somewhere.
func namesConnection(text []byte, sign byte, names []string) bool {
	for i := 0; ; i++ {
		n := bytes.IndexByte(text[i:], sign)
		if n < 0 {
			return false
		}
		i += n
		for _, name := range names {
			if i >= len(name) && text[i-1]|0x20 == name[len(name)-1] && strings.EqualFold(string(text[i-len(name):i]), name) {
				return true
			}
		}
	}
}

// headerValue accepts credentials, cut off at what ends the string they are in.
func headerValue(text []byte, start, end int) (int, int, bool) {
	if start > 0 && (text[start-1] == ' ' || text[start-1] == '\t') && bytes.IndexByte(text[start:end], '=') > 0 && bytes.ContainsAny(text[start:end], " ,") {
		// Parameters: they may be quoted, so that a quote ends the string only
		// where no comma follows.
		for i := start; i < end; i++ {
			if b := text[i]; (b == '"' || b == '\'') && i > start && text[i-1] != '=' && i+1 < len(text) && text[i+1] != ',' || b == '}' {
				end = i
				if b != '}' && bytes.Count(text[start:i], []byte{b})%2 == 1 {
					end++ // it closes the last parameter
				}
			}
		}
		return start, end, end-start >= 8
	}
	return secretValue(text, start, end)
}

// secretValue accepts what is not a stand-in and looks random enough.
func secretValue(text []byte, start, end int) (int, int, bool) {
	for end > start && strings.IndexByte(".,)]}:", text[end-1]) >= 0 {
		end--
	}
	v := text[start:end]
	if standIn(v) || !random(v) {
		return 0, 0, false
	}
	if len(v) >= 1000 { // as far as the patterns go, so that refusing one is cheap
		for end < len(text) && strings.IndexByte(" \t\r\n\"'`\\,;&<>", text[end]) < 0 {
			end++
		}
	}
	return start, end, true
}

// urlParameter is secretValue for the parameters of a URL's query or fragment.
func urlParameter(text []byte, start, end int) (int, int, bool) {
	i := start - 1 // the equals sign
	for n := 0; i > 0 && n < 64 && (isWord(text[i-1]) || text[i-1] == '-' || text[i-1] == '.'); n++ {
		i--
	}
	if i == 0 || strings.IndexByte("?&;#", text[i-1]) < 0 {
		return 0, 0, false
	}
	// "sid" is a session's id, the end of "transId" is not.
	name := text[i : start-1]
	for _, word := range []string{"sid", "sig", "pass", "jwt", "auth"} {
		if at := len(name) - len(word); at > 0 && strings.EqualFold(string(name[at:]), word) && (isWord(name[at-1]) && name[at-1] != '_') {
			return 0, 0, false
		}
	}
	return secretValue(text, start, end)
}

// longValue is secretValue for names that also mean other things.
func longValue(text []byte, start, end int) (int, int, bool) {
	start, end, ok := secretValue(text, start, end)
	return start, end, ok && end-start >= 16 && entropy(text[start:end]) > 3
}

// passwordValue accepts passwords, whose randomness is no measure, by their mix of
// signs.
func passwordValue(text []byte, start, end int) (int, int, bool) {
	v := text[start:end]
	var letters, digits, other int
	for _, b := range v {
		switch {
		case '0' <= b && b <= '9':
			digits++
		case isWord(b) && b != '_':
			letters++
		default:
			other++
		}
	}
	call := bytes.ContainsAny(v, "()[]{}<>|\\") || bytes.Contains(v, []byte("..")) || bytes.Contains(v, []byte("://"))
	return start, end, letters > 0 && digits > 0 && !call && !standIn(v) && entropy(v) > 2.5
}

// cookieValue returns the values of a Cookie or Set-Cookie header, from the
// first that can be a secret to the end of the last.
func cookieValue(text []byte, start, end int) (int, int, bool) {
	from, to := -1, 0
	for i := start; i < end; {
		stop := end
		if n := bytes.IndexByte(text[i:end], ';'); n >= 0 {
			stop = i + n
		}
		if eq := bytes.IndexByte(text[i:stop], '='); eq >= 0 {
			name := strings.ToLower(strings.Trim(string(text[i:i+eq]), " \t'["))
			at := i + eq + 1
			value := bytes.TrimRight(text[at:stop], " \t'],")
			if !cookieAttribute[name] && len(value) >= 8 && !standIn(value) && random(value) {
				if from < 0 {
					from = at
				}
				to = at + len(value)
			}
		}
		i = stop + 1
	}
	return from, to, from >= 0
}

var cookieAttribute = map[string]bool{"expires": true, "max-age": true, "domain": true, "path": true, "samesite": true, "priority": true}
