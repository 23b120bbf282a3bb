package secrets

import (
	"bytes"
	"strings"
)

// The longest user and password that are looked for in URLs and the like.
const (
	maxUser     = 128
	maxPassword = 256
)

// urlPassword finds the password behind :// at text[start:end]. It goes to the last
// @ before what no URL holds, or another URL.
func urlPassword(text []byte, _, end int) (int, int, bool) {
	i := end
	for i < len(text) && i-end <= maxUser && !userEnd[text[i]] {
		i++
	}
	if i == len(text) || text[i] != ':' {
		return 0, 0, false
	}
	user := text[end:i]
	from, to := i+1, 0
	for i = from; i < len(text) && i-from <= maxPassword && !authorityEnd[text[i]]; i++ {
		if text[i] == ':' && bytes.HasPrefix(text[i:], []byte("://")) {
			break
		}
		if text[i] == '@' && i+1 < len(text) && text[i+1] != '@' && !authorityEnd[text[i+1]] {
			to = i
		}
	}
	if to <= from {
		return 0, 0, false
	}
	value := text[from:to]
	// https://host:8080/path@2x is no password.
	if slash := bytes.IndexAny(value, "/?#"); slash >= 0 && onlyDigits(value[:slash]) {
		return 0, 0, false
	}
	return from, to, !template(value) && !(placeholder(value) && (placeholder(user) || placeholderHost(text[to+1:])))
}

// What ends the user and the authority of a URL; a password may hold more than it should.
var (
	userEnd      = byteSet(" \t\r\n\f\v\"'<>@/:?#\\")
	authorityEnd = byteSet(" \t\r\n\f\v\"'<>\\")
	dsnEnd       = byteSet(" \t\r\n\"'`<>=(")
)

// placeholderHost reports whether a URL's rest begins with a host that stands for
// none: there, words such as "secret" stand for passwords.
func placeholderHost(rest []byte) bool {
	n := 0
	for n < len(rest) && n < 255 && (isWord(rest[n]) || rest[n] == '.' || rest[n] == '-') {
		n++
	}
	host := strings.ToLower(string(rest[:n]))
	if n == 0 || host == "localhost" || host == "127.0.0.1" {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		switch label {
		case "host", "hostname", "server", "example", "ip", "address", "domain", "yourhost", "your-host", "myhost":
			return true
		}
	}
	return false
}

// dsnPassword finds the password before the protocol at text[start:end] in the data
// source names of Go's drivers for MySQL: user:password@tcp(host:port)/name.
func dsnPassword(text []byte, start, _ int) (int, int, bool) {
	from := start
	for from > 0 && start-from <= maxUser+maxPassword && !dsnEnd[text[from-1]] {
		from--
	}
	colon := bytes.IndexByte(text[from:start], ':')
	if colon <= 0 {
		return 0, 0, false
	}
	from += colon + 1
	return from, start, from < start && !standIn(text[from:start])
}

// anyPassword accepts all but what stands in for a password.
func anyPassword(text []byte, start, end int) (int, int, bool) {
	return start, end, !standIn(text[start:end])
}

// connectionPassword finds the password behind the equals sign that text[start:end]
// ends with, if there are other settings of a connection around it.
func connectionPassword(text []byte, start, end int) (int, int, bool) {
	around := line(text, start, end)
	if !namesConnection(around, '=', &connectionNames) && !namesConnection(around, ':', &jdbc) {
		return 0, 0, false
	}
	from := end
	for from < len(text) && from-end < 3 && (text[from] == ' ' || text[from] == '\t') {
		from++
	}
	if from < len(text) && text[from] == '/' && bytes.Contains(text[start:end], []byte("PWD")) {
		return 0, 0, false // the working directory, among other variables
	}
	stop := " \t\r\n\f\v;&\"',)<>"
	shortest := 3
	if from < len(text) && (text[from] == '"' || text[from] == '\'') {
		stop, shortest = string(text[from])+"\r\n", 1
		from++
	}
	to := from
	for to < len(text) && to-from < 2*maxPassword && strings.IndexByte(stop, text[to]) < 0 {
		to++
	}
	if shortest == 1 && (to == len(text) || text[to] != stop[0]) {
		return 0, 0, false
	}
	return from, to, to-from >= shortest && !standIn(text[from:to])
}

// connectionNames are what stands before an equals sign in connection strings.
var connectionNames = byLast("server", "data source", "host", "user id", "uid", "user", "username", "dbname", "database",
	"initial catalog", "accountname", "endpoint", "port", "sharedaccesskeyname")

var jdbc = byLast("jdbc")

// byLast orders names by their last letters.
func byLast(names ...string) (t [256][]string) {
	for _, name := range names {
		last := name[len(name)-1]
		t[last] = append(t[last], name)
	}
	return t
}

// namesConnection reports whether one of the names stands before the sign somewhere.
func namesConnection(text []byte, sign byte, names *[256][]string) bool {
	for i := 0; ; i++ {
		n := bytes.IndexByte(text[i:], sign)
		if n < 0 {
			return false
		}
		if i += n; i == 0 {
			continue
		}
		for _, name := range names[text[i-1]|0x20] {
			if i >= len(name) && lower[text[i-2]] == name[len(name)-2] && bytes.EqualFold(text[i-len(name):i], []byte(name)) {
				return true
			}
		}
	}
}

// passwordValue accepts passwords, whose randomness is no measure, by their mix of
// signs.
func passwordValue(text []byte, start, end int) (int, int, bool) {
	v := text[start:end]
	var letters, digits int
	for _, b := range v {
		switch {
		case '0' <= b && b <= '9':
			digits++
		case isWord(b) && b != '_':
			letters++
		}
	}
	call := bytes.ContainsAny(v, "()[]{}<>|\\") || bytes.Contains(v, []byte("..")) || bytes.Contains(v, []byte("://"))
	return start, end, letters > 0 && digits > 0 && !call && !standIn(v) && entropy(v) > 2.5
}

// elementValue accepts the text of an XML element whose name ends before the > that
// text[start] follows.
func elementValue(text []byte, start, end int) (int, int, bool) {
	i := start - 1
	for i > 0 && start-i < 64 && (isWord(text[i-1]) || strings.IndexByte(".:-", text[i-1]) >= 0) {
		i--
	}
	if i == 0 || text[i-1] != '<' {
		return 0, 0, false
	}
	name := strings.ToLower(string(text[i : start-1]))
	for _, page := range []string{"next", "continuation", "page", "cursor", "marker", "sync"} {
		if strings.Contains(name, page) {
			return 0, 0, false
		}
	}
	if strings.Contains(name, "pass") || strings.HasSuffix(name, "pwd") {
		return passwordValue(text, start, end)
	}
	return longValue(text, start, end)
}

// memberValue accepts the "value" of an object whose "name" or "key", just before it,
// is that of a secret: cookies in HTTP archives, variables of an environment.
func memberValue(text []byte, start, end int) (int, int, bool) {
	back := func(i int, signs string) int {
		for n := 0; i > 0 && n < 32 && strings.IndexByte(signs, text[i-1]) >= 0; n++ {
			i--
		}
		return i
	}
	i := bytes.LastIndex(text[max(0, start-32):start], []byte("value"))
	i = back(max(0, start-32)+i, "\"' \t\r\n,")
	from := max(0, i-64)
	quote := bytes.LastIndexAny(text[from:i], "\"'")
	if quote < 0 {
		return 0, 0, false
	}
	name := text[from+quote+1 : i]
	label := text[:back(from+quote, " \t\r\n:\"'")]
	if !bytes.HasSuffix(label, []byte("name")) && !bytes.HasSuffix(label, []byte("key")) && !bytes.HasSuffix(label, []byte("Name")) && !bytes.HasSuffix(label, []byte("Key")) {
		return 0, 0, false
	}
	low := bytes.ToLower(name)
	for _, word := range []string{"sid", "sess", "auth", "token", "jwt", "csrf", "xsrf", "remember", "secret", "password", "passwd", "api_key", "api-key", "apikey", "access_key", "private_key"} {
		if bytes.Contains(low, []byte(word)) {
			return secretValue(text, start, end)
		}
	}
	return 0, 0, false
}
