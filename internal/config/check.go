package config

import (
	"net"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/edit"
	"github.com/mcpfirewall/mcpfirewall/internal/onuse"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
	"golang.org/x/net/http/httpguts"
)

// check is what the texts of a key must obey beyond being text.
type check struct {
	// test returns the end of a sentence that begins with the key, "" if all
	// is well. For a mapping of texts it judges the names.
	test func(text string) (wrong, suggestion string)

	// value judges the values of a mapping of texts.
	value func(text string) (wrong string)

	// caseCounts is set where names that differ in case are different names.
	caseCounts bool

	// names are those that a mapping can have, for the JSON Schema; nil where test
	// says it all.
	names []string

	// pattern says for the JSON Schema what test demands, as far as a regular
	// expression can.
	pattern string
}

// reference matches the beginning of a reference to a value elsewhere.
var reference = onuse.Regexp(`\$\{(vault|env|file|keyring):`)

// refHomes says where references are resolved.
const refHomes = "in args, env, url, headers, inject and oauth of a server and under vault.auth only"

var checks = map[string]check{
	"server":    {test: checkServerName, pattern: `^[a-z0-9-]{1,64}$`},
	"pattern":   {test: checkPattern, pattern: `\S`},
	"tool":      {test: checkTool, pattern: `^[a-z0-9-]{1,64}\.[^*]+$`},
	"narrow":    {test: checkName, pattern: `^[A-Za-z0-9_.-]{1,64}$`},
	"argument":  {test: checkName, pattern: `^[A-Za-z0-9_.-]{1,64}$`},
	"value":     {test: checkValueName, value: checkExpression, caseCounts: true, pattern: `\S`},
	"label":     {test: checkLabel, pattern: `^[a-z][a-z0-9_-]{0,63}$`},
	"zone":      {test: checkZone, pattern: `\S`},
	"preset":    {test: func(string) (string, string) { return "", "" }}, // an enum
	"method":    {test: checkMethod, pattern: `^[A-Za-z0-9_$./-]+$`},
	"lists":     {test: checkServerName, value: noProblem, pattern: `^[a-z0-9-]{1,64}$`},
	"line":      {test: checkLine, pattern: `\S`},
	"env":       {test: checkEnvName, value: noProblem, caseCounts: runtime.GOOS != "windows", pattern: `^[^=]+$`},
	"header":    {test: checkHeaderName, value: checkHeaderValue, pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"},
	"url":       {test: checkURL, pattern: `^(https?://|\$\{)`},
	"address":   {test: checkAddress, pattern: `^https?://`},
	"token":     {test: checkToken, pattern: tokenPattern},
	"mount":     {test: checkMount, pattern: `^[^/\s]+(/[^/\s]+)*$`},
	"reference": {test: checkReference, pattern: `^\$\{(vault|env|file|keyring):([^{}]|\{[a-z.]+\})+\}$`},
	"scope":     {test: checkScope, pattern: `^[!#-\[\]-~]+$`},
	"resource":  {test: checkResource, pattern: `^(https?://[^#]+|none)$`},
	"listen":    {test: checkListen, pattern: `:[0-9]+$`},
	"host":      {test: checkHost, pattern: `^[^/*\s]+$`},
	"origin":    {test: checkOrigin, pattern: `^[a-z][a-z0-9+.-]*://[^/*\s]+$`},
	"secret":    {test: checkSecretRule, pattern: `^[a-z0-9-]+$`},
	"pii":       {test: checkPII, names: piiNames},
	"regexp":    {test: checkRegexp, pattern: `\S`},
	"whole":     {test: checkWhole, pattern: `\S`},
}

func noProblem(string) string { return "" }

// maxName bounds a server's name, which becomes part of the names of its tools.
const maxName = 64

var serverName = onuse.Regexp(`^[a-z0-9-]{1,64}$`)

func checkServerName(s string) (wrong, suggestion string) {
	if serverName().MatchString(s) {
		return "", ""
	}
	if wrapped := wrapName(s); wrapped != "server" && !strings.ContainsAny(s, `/\.`) {
		suggestion = wrapped
	}
	if strings.Contains(s, "__") {
		return "must not contain __, which separates server and tool", suggestion
	}
	return "must consist of 1 to 64 of a-z, 0-9 and -", suggestion
}

func checkPattern(s string) (wrong, suggestion string) {
	if strings.TrimSpace(s) == "" {
		return "must not be empty", ""
	}
	if t := strings.TrimSpace(s); t != s {
		return "must not begin or end with a blank", t
	}
	return "", ""
}

var methodName = onuse.Regexp(`^[A-Za-z0-9_$./-]+$`)

// checkTool checks the name of one tool of one server.
func checkTool(s string) (wrong, suggestion string) {
	server, tool, ok := strings.Cut(s, ".")
	switch {
	case strings.Contains(s, "*"):
		return "must be one tool, written out, not a pattern", ""
	case !ok || tool == "" || !serverName().MatchString(server):
		return "must be a tool with its server before it, such as db.query", ""
	case strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || visible.Hidden(r) }) || len(s) > 300:
		return "cannot be the name of a tool", ""
	}
	return "", ""
}

// plainName matches what clients accept as the name of a tool or an argument.
var plainName = onuse.Regexp(`^[A-Za-z0-9_.-]{1,64}$`)

func checkName(s string) (wrong, suggestion string) {
	if plainName().MatchString(s) {
		return "", ""
	}
	return "must consist of 1 to 64 of A-Z, a-z, 0-9, _, . and -", ""
}

func checkValueName(s string) (wrong, suggestion string) {
	if strings.TrimSpace(s) == "" {
		return "must not be empty", ""
	}
	return checkLine(s)
}

func checkExpression(s string) (wrong string) {
	if strings.TrimSpace(s) == "" {
		return "must not be empty"
	}
	return ""
}

// knownLabels are those that the firewall gives a meaning.
var knownLabels = []string{"untrusted", "private", "external", "trusted"}

var labelName = onuse.Regexp(`^[a-z][a-z0-9_-]{0,63}$`)

// checkLabel checks the name of a label of the user's own. One that differs from
// a known one by a slip of the finger would silently do nothing.
func checkLabel(s string) (wrong, suggestion string) {
	word := strings.ToLower(s)
	for _, known := range knownLabels {
		if edit.Distance(word, known, 2) <= 1 {
			return "is too much like the label " + known + " to be another", known
		}
	}
	if !labelName().MatchString(s) {
		return "must begin with a letter and consist of at most 64 of a-z, 0-9, _ and -", ""
	}
	return "", ""
}

func checkZone(s string) (wrong, suggestion string) {
	if _, err := time.LoadLocation(s); err != nil || s == "" {
		return "must be a time zone that this system knows, such as Europe/Berlin or UTC", ""
	}
	return "", ""
}

func checkMethod(s string) (wrong, suggestion string) {
	if !methodName().MatchString(s) {
		return "must be one method, written out, such as custom/search", ""
	}
	return "", ""
}

func checkLine(s string) (wrong, suggestion string) {
	if strings.ContainsFunc(s, func(r rune) bool { return visible.Hidden(r) }) || len(s) > 200 {
		return "must be one line of at most 200 bytes", ""
	}
	return "", ""
}

func checkEnvName(s string) (wrong, suggestion string) {
	if s == "" || strings.ContainsAny(s, "=\x00") {
		return "cannot be the name of an environment variable", ""
	}
	return "", ""
}

// ownHeaders are written by the firewall or by the HTTP client. A second value
// beside the checked one would be a way around the checks.
var ownHeaders = []string{
	"accept", "connection", "content-encoding", "content-length", "content-type", "host",
	"keep-alive", "last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version",
	"mcp-session-id", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

func checkHeaderName(s string) (wrong, suggestion string) {
	lower := strings.ToLower(s)
	if !httpguts.ValidHeaderFieldName(s) {
		return "cannot be the name of an HTTP header", ""
	}
	if slices.Contains(ownHeaders, lower) || strings.HasPrefix(lower, "mcp-param-") {
		return "belongs to a header that mcpfirewall sets itself", ""
	}
	return "", ""
}

func checkHeaderValue(s string) (wrong string) {
	if !httpguts.ValidHeaderFieldValue(s) {
		return "cannot be the value of an HTTP header: it holds a line break or a control character"
	}
	return ""
}

// checkURL checks a server's URL as far as it is known before its references
// are resolved.
func checkURL(s string) (wrong, suggestion string) {
	if strings.HasPrefix(s, "${") {
		return "", ""
	}
	if strings.Contains(s, "${") {
		if !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") {
			return "must begin with https:// or http://", ""
		}
		return "", ""
	}
	return checkAddress(s)
}

// checkAddress checks an http or https URL that is complete.
func checkAddress(s string) (wrong, suggestion string) {
	u, err := url.Parse(s)
	switch {
	case err == nil && u.Scheme == "" && !strings.HasPrefix(s, "/") && strings.Contains(s, "."):
		return "must begin with https:// or http://", "https://" + s
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		return "must be a URL that begins with https:// or http://", ""
	case u.Hostname() == "":
		return "has no host", ""
	case u.User != nil:
		return "must not hold a user name or password: put them in headers, from a reference", ""
	case u.Fragment != "":
		return "must not hold a fragment (#...)", ""
	}
	return "", ""
}

const tokenPattern = `^\$\{(env|file|keyring):[^}]+\}$`

var tokenReference = onuse.Regexp(tokenPattern)

func checkToken(s string) (wrong, suggestion string) {
	if tokenReference().MatchString(s) {
		return "", ""
	}
	return "must be a reference, such as ${env:NAME} or ${file:PATH}: a secret does not belong in this file", ""
}

// wholeReference matches a text that is one reference and nothing else.
var wholeReference = onuse.Regexp(`^\$\{(vault|env|file|keyring):([^{}]|\{[a-z.]+\})+\}$`)

func checkReference(s string) (wrong, suggestion string) {
	if wholeReference().MatchString(s) {
		return "", ""
	}
	return "must be one reference, such as ${vault:MOUNT/PATH#FIELD}: a secret does not belong in this file", ""
}

// scopeToken is that of RFC 6749, appendix A.4.
var scopeToken = onuse.Regexp(`^[!#-\[\]-~]+$`)

func checkScope(s string) (wrong, suggestion string) {
	if !scopeToken().MatchString(s) {
		return "must be one scope: without blanks, quotes and backslashes", ""
	}
	return "", ""
}

func checkResource(s string) (wrong, suggestion string) {
	if s == "none" {
		return "", ""
	}
	return checkAddress(s)
}

func checkListen(s string) (wrong, suggestion string) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if n, e := strconv.ParseUint(s, 10, 16); e == nil {
			suggestion = net.JoinHostPort("127.0.0.1", strconv.FormatUint(n, 10))
		}
		return "must be an address with a port, such as 127.0.0.1:8750 or [::1]:8750", suggestion
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "must end in a port from 0 to 65535", ""
	}
	if strings.ContainsAny(host, "/ *") {
		return "must begin with a host name or an IP address", ""
	}
	return "", ""
}

func checkHost(s string) (wrong, suggestion string) {
	if strings.Contains(s, "*") {
		return "must be one host name, written out: a pattern would let other sites in (DNS rebinding)", ""
	}
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		return "must be a host name without a scheme or path", u.Host
	}
	if s == "" || strings.ContainsAny(s, "/ \t\n@?#") {
		return "must be a host name such as firewall.example.com, with :port if it must match", ""
	}
	return "", ""
}

func checkOrigin(s string) (wrong, suggestion string) {
	const want = "must be an origin such as https://app.example.com"
	if strings.Contains(s, "*") {
		return "must be one origin, written out: a pattern would let other sites in", ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return want, ""
	case u.Scheme == "" || u.Host == "":
		if s != "" && s != "null" && !strings.ContainsAny(s, "/: ") {
			suggestion = "https://" + s
		}
		return want, suggestion
	case strings.ToLower(u.Scheme+"://"+u.Host) != s:
		return want + ", in lower case and without a path", strings.ToLower(u.Scheme + "://" + u.Host)
	}
	return "", ""
}
