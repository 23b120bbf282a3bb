package upstream

import (
	"errors"
	"strings"
)

// isBatch reports whether Windows runs the file through cmd.exe.
func isBatch(path string) bool {
	path = strings.ToLower(strings.TrimRight(path, " ."))
	return strings.HasSuffix(path, ".bat") || strings.HasSuffix(path, ".cmd")
}

// batchCommandLine returns the command line with which cmd.exe runs a batch file, npx.cmd
// for one, and hands it the arguments as they are. Windows itself would build one that
// lets an argument such as `"&calc.exe` break out (CVE-2024-24576); the quoting is the one
// that Rust's standard library found for this. An argument that cannot be quoted, because
// it has line ends, is an error.
func batchCommandLine(cmd, script string, args []string) (string, error) {
	if strings.ContainsAny(script, "\"%\r\n\x00") || strings.HasSuffix(script, `\`) {
		return "", errors.New("the path of a batch file must not contain quotes, percent signs or line ends")
	}
	var b strings.Builder
	// /d runs no AutoRun commands; /e:on and /v:off make what follows mean what is expected.
	b.WriteString(`"` + cmd + `" /e:ON /v:OFF /d /c ""` + script + `"`)
	for _, a := range args {
		if strings.ContainsAny(a, "\r\n\x00") {
			return "", errors.New("an argument with a line end or a zero byte cannot be given to a batch file safely; run its program directly, node with the script's path for example")
		}
		b.WriteByte(' ')
		writeBatchArg(&b, a)
	}
	b.WriteByte('"')
	return b.String(), nil
}

// writeBatchArg quotes an argument both for cmd.exe and for the program that the batch
// file hands it to.
func writeBatchArg(b *strings.Builder, arg string) {
	// What is not known to be harmless makes quotes necessary. So does a backslash at the
	// end: batch files quote their arguments ("%~2"), and it would escape that quote.
	quote := arg == "" || strings.HasSuffix(arg, `\`)
	for _, r := range arg {
		plain := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(`#$*+-./:?@\_`, r) || r > 0x9f
		quote = quote || !plain
	}
	if quote {
		b.WriteByte('"')
	}
	backslashes := 0
	for i := range len(arg) {
		switch c := arg[i]; c {
		case '\\':
			backslashes++
			b.WriteByte(c)
			continue
		case '"':
			// Backslashes before a quote are doubled, the quote too.
			b.WriteString(strings.Repeat(`\`, backslashes) + `""`)
		case '%':
			// %cd:~,% expands to nothing and keeps %NAME% from expanding.
			b.WriteString(`%%cd:~,%`)
		default:
			b.WriteByte(c)
		}
		backslashes = 0
	}
	if quote {
		b.WriteString(strings.Repeat(`\`, backslashes) + `"`)
	}
}
