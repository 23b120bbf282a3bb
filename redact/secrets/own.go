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
// and the literals of languages: quotes, a sign, perhaps a list's bracket. In lists
// of headers it is a comma, and in HTTP archives the name of the value's member.
const assign = `(?:["'\x60]?\s{0,3}(?::|=>|=)\s{0,3}\[?\s{0,3}["'\x60]?|["'\x60]\s{0,3},\s{0,24}(?:["'\x60]value["'\x60]\s{0,3}:\s{0,3})?["'\x60])`

// PasswordRule is the rule that finds passwords that people chose; see Options.Passwords.
const PasswordRule = "password-assignment"

var ownRules = []ownRule{
	// RFC 7468, RFC 4716 (four dashes), OpenPGP's armor.
	{"private-key", `(?i)----[- ]{0,2}BEGIN[ A-Z0-9_-]{0,100}?(PRIVATE KEY)`, keyBlock},
	{"putty-private-key", `(?i)Private-Lines:[ \t]{0,4}(\d{1,4})`, puttyLines},
	// The identities of age and its plugins, in either case, as Bech32 allows.
	{"age-identity", `(?i)\bAGE-(?:SECRET-KEY|PLUGIN)(?:-[A-Z0-9]{1,32}){0,3}-?1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{40,}`, nil},
	// RFC 3986, section 3.2.1: the authority ends at a slash, a question or number
	// sign, but people write passwords with those unescaped; the last @ counts.
	{"url-password", `://`, urlPassword},
	{"connection-string-password", `(?i)(?:[;?&\s"'({,:]|\b)(?:password|pwd|passwd|accountkey|sharedaccesskey|sharedaccesssignature)\s{0,3}=`, connectionPassword},
	// github.com/go-sql-driver/mysql, Oracle's thin driver, .netrc, .pgpass.
	{"connection-string-password", `(?i)@(?:tcp6?|udp|unix|cloudsql)\(`, dsnPassword},
	{"connection-string-password", `(?i)jdbc:oracle:[a-z0-9]{1,8}:[^/\s"']{1,64}/("[^"\r\n]{1,128}"|[^@\s"']{1,128})@`, anyPassword},
	{"connection-string-password", `\bmachine\s{1,8}[^\s"]{1,256}\s{1,8}login\s{1,8}[^\s"]{1,256}\s{1,8}password\s{1,8}([^\s"]{1,256})`, anyPassword},
	{"connection-string-password", `:(?:5432|5433|6432):[^:\s"']{1,64}:[^:\s"']{1,64}:([^\s:"',;]{4,128})`, anyPassword},
	{"command-line-password", `--(?:password|passwd|pass|passphrase|token|secret|api-?key|access-token|auth-token)(?:=|[ \t]{1,4})["']?([^\s"'<>\x60]{6,256})`, passwordValue},
	{"command-line-password", `\bmysql(?:dump|admin|import)?[ \t][^\r\n"]{0,120}?[ \t]-p([^\s"'<>\x60]{4,128})`, passwordValue},
	{"command-line-password", `\b(?:curl|wget)[ \t][^\r\n]{0,120}?[ \t](?:-u|--user|--password)(?:=|[ \t]{0,4})["']?[^\s:"'<>]{1,64}:([^\s"'<>]{6,128})`, passwordValue},
	// DB_PASSWORD, PGPASSWORD: variables of an environment.
	{"password-variable", `[A-Z0-9_]{0,40}(?:PASSWORD|PASSWD|PASSPHRASE|_PASS)=["']?([^\s"'\x60<>;,]{6,128})`, passwordValue},
	// crypt(5): bcrypt, MD5, SHA-2, yescrypt; PHC strings; Django's.
	{"password-hash", `\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}`, nil},
	{"password-hash", `\$(?:1|5|6|apr1)\$(?:rounds=\d{1,9}\$)?[^$\s:"']{1,16}\$[./A-Za-z0-9]{22,86}`, nil},
	{"password-hash", `\$g?y\$[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}`, nil},
	{"password-hash", `\$(?:argon2(?:id|i|d)|scrypt|pbkdf2-sha(?:1|256|512))\$[\w=,$-]{1,60}\$[./+A-Za-z0-9=]{8,128}\$[./+A-Za-z0-9=]{16,256}`, nil},
	{"password-hash", `\bpbkdf2_sha(?:1|256|512)\$\d{1,9}\$[A-Za-z0-9]{1,64}\$[+/A-Za-z0-9=]{27,90}`, nil},
	{"xml-secret", `(?i)(?:api-?key|access-?key|secret-?key|auth-?key|account-?key|secret|token|password|passwd|pwd)>([^<>\s]{8,1000})</`, elementValue},
	{"named-value", `["']value["']\s{0,3}:\s{0,3}["']([^"'\\\r\n]{8,1000})`, memberValue},
	// RFC 7519; the parts that gitleaks' rule wants longer, and ends it lacks.
	{"json-web-token", `\bey[A-Za-z0-9_-]{12,1000}\.ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}`, nil},
	{"json-web-token", `\beyJ[A-Za-z0-9_-]{20,1000}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`, nil}, // JWE
	// RFC 9110, sections 11.6.2 and 11.7.2. The parameters of Digest (RFC 7616)
	// and of AWS' and other signatures are all of the rest.
	{"authorization-header", `(?i)authorization` + assign + `\s{0,3}(?:(?:Digest|Hawk|OAuth|AWS4-HMAC-SHA256|AWS4-ECDSA-P256-SHA256|Signature|SCRAM-SHA-256|Mutual|vapid)[ \t]{1,4}([^\r\n"'\x60]{0,16}[^\r\n]{8,1000})|` +
		`(?:Basic|Bearer|Token|Api-?Key|Negotiate|NTLM|SSWS|GoogleLogin|DPoP|PrivateToken|GNAP|SharedKey|JWT|Key)[ \t]{1,4}([^\s"'\x60\\,;]{6,1000})|` +
		`([^\s"'\x60\\,;]{16,1000}))`, headerValue},
	// RFC 6750: the scheme alone, as in logs and lists that do not name the header.
	{"authorization-header", `(?i)\bbearer[ \t]{1,4}([\w.~+/=-]{20,1000})`, longValue},
	// RFC 6265. Each cookie's value is a secret, as far as it can be one.
	{"cookie", `(?i)\b(?:set-)?cookie` + assign + `([^\r\n"\x60]{1,1000})`, cookieValue},
	// X-Api-Key, Private-Token, Ocp-Apim-Subscription-Key and their like.
	{"credential-header", `(?i)[a-z0-9-]{0,40}(?:-key|-token|-secret|-auth|-password|-session-?id|\bapi-?key)` + assign + `([^\s"'\x60\\,;]{16,1000})`, longValue},
	{"url-parameter", `(?i)(?:token|secret|key|auth|sig|signature|credential|password|passwd|pwd|pass|assertion|verifier|session[_.-]?id|sid|jwt)=`, urlParameter},
	{"aws-secret-key", `(?i)(?:secret[_ .-]?(?:access)?[_ .-]?key|secretaccesskey|aws[_ .-]?secret)` + assign + `([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)`, secretValue},
	{"aws-secret-key", `\b(?:AKIA|ASIA)[A-Z2-7]{16}[^A-Za-z0-9/+=]{1,3}(?:[\w .-]{0,40}["']?\s{0,3}[:=,]\s{0,8}["']?)?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)`, secretValue},
	{PasswordRule, `(?i)(?:password|passwd|passphrase|pwd)["']?\s{0,3}(?::=?|=>|=)\s{0,3}(?:"([^"\s]{8,128})"|'([^'\s]{8,128})'|([^\s"',;(){}<>\[\]]{8,128})(?:[\s,;]|$))`, passwordValue},
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
			// A sign that no key holds: the lines may have something before each,
			// or be the strings of a list.
			n := nextLine(text[i:])
			if n == 0 {
				return head, i, solid >= minKey
			}
			i += n - 1
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

// nextLine returns how far from the beginning of text a key goes on, or 0: there is
// a line of it after at most maxGap bytes, or its end after a short line.
func nextLine(text []byte) int {
	run := 0
	for i, b := range text[:min(len(text), maxGap+keyLine)] {
		if !isWord(b) && b != '+' && b != '/' && b != '=' || b == '_' {
			run = 0
			continue
		}
		if run++; run == keyLine {
			return i + 1 - keyLine
		}
	}
	near := text[:min(len(text), 2*maxGap+keyLine)]
	if i := bytes.Index(near, []byte("--")); i >= 0 && endMark(text[i:]) > 0 {
		return i
	}
	return 0
}

const (
	keyLine = 40 // of a key's lines, of which only the last may be shorter
	maxGap  = 64
)

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

// urlParameter is secretValue for the parameter of a URL's query or fragment whose
// name and equals sign text[:end] ends with.
func urlParameter(text []byte, _, end int) (int, int, bool) {
	start := end
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
	for end < len(text) && end-start < 1000 && !urlEnd[text[end]] {
		end++
	}
	if end-start < 6 {
		return 0, 0, false
	}
	return secretValue(text, start, end)
}

// urlEnd is what ends a parameter.
var urlEnd = byteSet(" \t\r\n\f\v\"'`\\&;#<>")

// byteSet is a set of bytes.
func byteSet(signs string) (t [256]bool) {
	for i := range len(signs) {
		t[signs[i]] = true
	}
	return t
}

// longValue is secretValue for names that also mean other things.
func longValue(text []byte, start, end int) (int, int, bool) {
	start, end, ok := secretValue(text, start, end)
	return start, end, ok && end-start >= 16 && entropy(text[start:end]) > 3
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
			if token(name) && !cookieAttribute[name] && len(value) >= 8 && bytes.IndexByte(value, ' ') < 0 && !standIn(value) && random(value) {
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

// token reports whether s can be the name of a cookie (RFC 9110, section 5.6.2).
func token(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("()<>@,;:\\\"/[]?={}", r) }) < 0
}

var cookieAttribute = map[string]bool{"expires": true, "max-age": true, "domain": true, "path": true, "samesite": true, "priority": true}
