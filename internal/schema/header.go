package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json" // for Number, in which decode gives numbers
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// A HeaderParam is a tool's parameter that is mirrored into an HTTP header
// (MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters").
type HeaderParam struct {
	Header string   // the annotation's value: the header is "Mcp-Param-" + Header
	Path   []string // the names that lead from the arguments to the parameter
}

const headerKeyword = "x-mcp-header"

// HeaderParams reads the x-mcp-header annotations of an input schema, in the
// order of their headers. It returns an error if one of them breaks a constraint
// of the specification; the tool has then to be left out of the list.
func HeaderParams(raw []byte) ([]HeaderParam, error) {
	// Nearly every schema has none. An escape could spell the keyword otherwise.
	if !bytes.Contains(raw, []byte(headerKeyword)) && !bytes.Contains(raw, []byte(`\u`)) {
		return nil, nil
	}
	if len(raw) > maxSchemaBytes {
		return nil, fmt.Errorf("reading %s: the schema has more than %d bytes", headerKeyword, maxSchemaBytes)
	}
	doc, err := decode(raw, limits{depth: maxSchemaDepth, values: maxSchemaValues})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", headerKeyword, err)
	}
	h := headerReader{taken: map[string]bool{}}
	if err := h.schema(doc, nil, true); err != nil {
		return nil, fmt.Errorf("reading %s: %w", headerKeyword, err)
	}
	slices.SortFunc(h.params, func(a, b HeaderParam) int { return strings.Compare(a.Header, b.Header) })
	return h.params, nil
}

type headerReader struct {
	params []HeaderParam
	taken  map[string]bool
}

// schema walks a schema. Reachable means by "properties" alone from the root.
func (h *headerReader) schema(v any, path []string, reachable bool) error {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := h.schema(item, path, false); err != nil {
				return err
			}
		}
	case map[string]any:
		if header, ok := v[headerKeyword]; ok {
			if err := h.annotation(header, v["type"], path, reachable); err != nil {
				return err
			}
		}
		for keyword, sub := range v {
			if err := h.keyword(keyword, sub, path, reachable); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *headerReader) keyword(keyword string, v any, path []string, reachable bool) error {
	switch keyword {
	case headerKeyword, "default", "const", "enum", "examples":
		return nil // values, not schemas
	case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies":
		named, ok := v.(map[string]any)
		if !ok {
			break
		}
		for name, sub := range named { // names, which may be spelt like the keyword
			if err := h.schema(sub, append(slices.Clone(path), name), reachable && keyword == "properties"); err != nil {
				return err
			}
		}
		return nil
	}
	return h.schema(v, path, false)
}

func (h *headerReader) annotation(header, types any, path []string, reachable bool) error {
	at := "the root"
	if len(path) > 0 {
		at = pointer(path)
	}
	name, ok := header.(string)
	switch {
	case !ok || name == "":
		return fmt.Errorf("at %s it has to be a string that is not empty", at)
	case strings.ContainsFunc(name, func(r rune) bool { return !isTokenChar(r) }):
		return fmt.Errorf("at %s it is not a header name (RFC 9110, section 5.1)", at)
	case !reachable || len(path) == 0:
		return fmt.Errorf("at %s it is on something that is not reached by properties alone", at)
	case !isPrimitive(types):
		return fmt.Errorf("at %s it is on a parameter whose type is not integer, string or boolean", at)
	}
	if key := strings.ToLower(name); h.taken[key] {
		return fmt.Errorf("at %s it is used a second time", at)
	} else {
		h.taken[key] = true
	}
	h.params = append(h.params, HeaderParam{Header: name, Path: path})
	return nil
}

// isTokenChar reports whether r is a tchar of RFC 9110, section 5.6.2.
func isTokenChar(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		r < utf8.RuneSelf && strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// isPrimitive accepts one of the three types, also beside null, for which no
// header is sent.
func isPrimitive(types any) bool {
	list, ok := types.([]any)
	if !ok {
		list = []any{types}
	}
	found := false
	for _, t := range list {
		switch t {
		case "string", "integer", "boolean":
			found = true
		case "null":
		default:
			return false
		}
	}
	return found
}

const (
	sentinelPrefix = "=?base64?"
	sentinelSuffix = "?="
	maxSafeInteger = 1<<53 - 1
)

// HeaderValue is the value of the header for an argument: a raw JSON string,
// boolean or integer within ±(2^53−1). For null and for anything else there is
// no header; null is the caller's to leave out, and is an error like the rest.
// Names in the header Mcp-Name are encoded in the same way, as JSON strings.
func HeaderValue(v []byte) (string, error) {
	text, err := headerText(v)
	if err != nil {
		return "", err
	}
	if needsEncoding(text) {
		return sentinelPrefix + base64.StdEncoding.EncodeToString([]byte(text)) + sentinelSuffix, nil
	}
	return text, nil
}

func headerText(v []byte) (string, error) {
	value, err := decode(v, limits{depth: 1})
	if err != nil {
		return "", fmt.Errorf("making a header value: %w", err)
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case bool:
		return fmt.Sprint(value), nil
	case json.Number:
		n, err := safeInteger(value.String())
		if err != nil {
			return "", fmt.Errorf("making a header value: %w", err)
		}
		return n.String(), nil
	}
	return "", errors.New("making a header value: it has to be a string, an integer or a boolean")
}

// safeInteger reads a JSON number as an integer that float64 holds exactly.
func safeInteger(text string) (*big.Int, error) {
	if _, err := number(text); err != nil {
		return nil, err
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || !r.IsInt() {
		return nil, errors.New("the number is not an integer")
	}
	if r.Num().CmpAbs(big.NewInt(maxSafeInteger)) > 0 {
		return nil, errors.New("the integer is outside ±(2^53−1)")
	}
	return r.Num(), nil
}

// needsEncoding reports whether a text would not arrive as it is in a header.
func needsEncoding(s string) bool {
	if s == "" {
		return false
	}
	if isBlank(s[0]) || isBlank(s[len(s)-1]) {
		return true
	}
	if strings.HasPrefix(s, sentinelPrefix) && strings.HasSuffix(s, sentinelSuffix) {
		return true
	}
	return !isPlain(s)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// isPlain reports whether s holds only visible ASCII, spaces and tabs.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '\t' && (c < ' ' || c > '~') {
			return false
		}
	}
	return true
}

// DecodeHeaderValue undoes [HeaderValue]: it gives the text of the value.
func DecodeHeaderValue(s string) (string, error) {
	if !isPlain(s) {
		return "", errors.New("reading a header value: it has characters that are not allowed in a header")
	}
	if !strings.HasPrefix(s, sentinelPrefix) || !strings.HasSuffix(s, sentinelSuffix) {
		return s, nil
	}
	if len(s) < len(sentinelPrefix)+len(sentinelSuffix) {
		return "", errors.New("reading a header value: the Base64 marker is cut short")
	}
	text, err := base64.StdEncoding.Strict().DecodeString(s[len(sentinelPrefix) : len(s)-len(sentinelSuffix)])
	if err != nil || !utf8.Valid(text) {
		return "", errors.New("reading a header value: it is marked as Base64 of UTF-8, but is not")
	}
	return string(text), nil
}

// HeaderMatches reports whether a header's value is that of an argument (a raw
// JSON scalar). Integers are compared as numbers: 42.0 is 42.
func HeaderMatches(header string, v []byte) bool {
	got, err := DecodeHeaderValue(header)
	if err != nil {
		return false
	}
	want, err := headerText(v)
	if err != nil {
		return false
	}
	if got == want {
		return true
	}
	for _, text := range []string{want, got} { // both have to be numbers in JSON's spelling
		if n, err := decode([]byte(text), limits{depth: 1}); err != nil {
			return false
		} else if _, ok := n.(json.Number); !ok {
			return false
		}
	}
	if bytes.TrimSpace(v)[0] == '"' {
		return false
	}
	n, err := safeInteger(got)
	return err == nil && n.String() == want
}
