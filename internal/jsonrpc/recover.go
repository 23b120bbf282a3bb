package jsonrpc

import "bytes"

// RecoverID finds the id of a message of which only the edges are there or which is not
// valid JSON, as well as it can: a member "id" of the outermost object, near its start
// or near its end. It returns nil if there is none to be seen.
func RecoverID(head, tail []byte) []byte {
	depth := 0
	for i := 0; i < len(head); {
		switch c := head[i]; c {
		case '"':
			end := skipQuoted(head, i)
			if depth == 1 && string(head[i:end]) == `"id"` {
				if id, _ := idValue(head, end); id != nil {
					return id
				}
			}
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
	}
	// From the end, a name stands in the outermost object if what follows its value
	// closes exactly one level, with the last byte.
	tail = bytes.TrimRight(tail, " \t\r\n")
	for at := len(tail); ; {
		if at = bytes.LastIndex(tail[:at], []byte(`"id"`)); at < 0 {
			return nil
		}
		if id, end := idValue(tail, at+len(`"id"`)); id != nil && closesOne(tail[end:]) {
			return id
		}
	}
}

// RecoverRequestID is RecoverID for a whole message that was refused, if its outermost
// object has a method. The id of an answer is one of the receiver's own.
func RecoverRequestID(raw []byte) []byte {
	depth := 0
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			end := skipQuoted(raw, i)
			if at := skipBlank(raw, end); depth == 1 && at < len(raw) && raw[at] == ':' && string(raw[i:end]) == `"method"` {
				return RecoverID(raw, raw)
			}
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
	}
	return nil
}

// idValue returns the raw string or number that follows the colon at b[i:], and where it
// ends.
func idValue(b []byte, i int) (id []byte, end int) {
	i = skipBlank(b, i)
	if i >= len(b) || b[i] != ':' {
		return nil, i
	}
	i = skipBlank(b, i+1)
	if i >= len(b) {
		return nil, i
	}
	end = i
	if b[i] == '"' {
		end = skipQuoted(b, i)
	} else {
		for end < len(b) && (b[end] == '-' || '0' <= b[end] && b[end] <= '9') {
			end++
		}
	}
	// A value that reaches the edge may be cut. The firewall's own ids are short integers.
	next := skipBlank(b, end)
	if end == i || end-i > 256 || next >= len(b) || b[next] != ',' && b[next] != '}' {
		return nil, end
	}
	if CheckValue(bytes.Clone(b[i:end]), Limits{}) != nil {
		return nil, end
	}
	return bytes.Clone(b[i:end]), end
}

// closesOne reports whether the last byte of b closes one level more than b opens, and
// no byte before it does.
func closesOne(b []byte) bool {
	depth := 0
	for i := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipQuoted(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i == len(b)-1 && b[i] == '}'
			}
		}
		i++
	}
	return false
}

func skipBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// skipQuoted returns the offset after the string that starts at b[i], or the end.
func skipQuoted(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}
