package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// maxErrorText bounds what is shown of an error of the broad tool, in bytes.
const maxErrorText = 1 << 10

// Result makes the result of the specific tool from the broad tool's, a
// CallToolResult. Where the narrowing has no output expression this is the same
// bytes. Otherwise it is the value of the expression and nothing else: as text,
// or as JSON in a text, and an object as structured content too.
//
// An error of the broad tool is given to the expression only if that reads
// result.isError; else its text is kept, up to 1 KiB, and whatever else it
// holds is dropped. An error of Result means that the result is withheld; it is
// for the agent and quotes no value.
func (n *Narrowing) Result(result []byte) ([]byte, error) {
	if n.output == nil {
		return result, nil
	}
	value, resultType, err := readResult(result)
	if err != nil {
		return nil, fmt.Errorf("the result is withheld, since it cannot be read: %w", err)
	}
	if value.IsError && !n.readsError {
		return newResult(visible.Cut(value.Text, maxErrorText), nil, true, resultType), nil
	}
	v, err := n.output.run(&resultScope{Result: value, Budget: &budget{steps: maxSteps, bytes: maxBytes}})
	if err == nil && v == nil {
		err = failf("it gives no value (nil)")
	}
	if err != nil {
		return nil, fmt.Errorf("the result is withheld, since what this tool shows of it cannot be computed: %w", err)
	}
	out, err := appendValue(nil, v, maxBytes+len(result))
	if err != nil {
		return nil, fmt.Errorf("the result is withheld, since what this tool shows of it cannot be written: %w", err)
	}
	switch v := v.(type) {
	case string:
		return newResult(v, nil, value.IsError, resultType), nil
	case map[string]any:
		return newResult(string(out), out, value.IsError, resultType), nil
	}
	return newResult(string(out), nil, value.IsError, resultType), nil
}

// readResult is what an expression can read of a result. JSON is the structured
// content or else what the text is, if it is JSON; nil otherwise.
func readResult(raw []byte) (v resultValue, resultType string, err error) {
	v, _, resultType, err = readBlocks(raw)
	return v, resultType, err
}

// readJudged is what a rule on results reads: readResult with, in Text, every string
// that a client may show to the agent, each on a line of its own. A server chooses
// where it puts its words.
func readJudged(raw []byte) (resultValue, error) {
	v, others, _, err := readBlocks(raw)
	if err == nil && len(others) > 0 {
		v.Text = strings.Join(append([]string{v.Text}, others...), "\n")
	}
	return v, err
}

// readBlocks gives also the strings that are no text blocks: those of structured
// content, of links and resources within the result, and of types that are not known.
func readBlocks(raw []byte) (v resultValue, others []string, resultType string, err error) {
	decoded, err := decodeExact(raw)
	if err != nil {
		return v, nil, "", err
	}
	result, ok := decoded.(map[string]any)
	if !ok {
		return v, nil, "", failf("it is not a JSON object")
	}
	if kind, ok := result["resultType"]; ok {
		if resultType, ok = kind.(string); !ok || resultType != "complete" {
			return v, nil, "", failf("it is not the result of a call that is complete")
		}
	}
	if isError, ok := result["isError"]; ok {
		if v.IsError, ok = isError.(bool); !ok {
			return v, nil, "", failf("isError is not true or false")
		}
	}
	content, ok := result["content"].([]any)
	if !ok {
		return v, nil, "", failf("it has no list of content")
	}
	var texts []string
	for _, block := range content {
		b, ok := block.(map[string]any)
		if !ok {
			return v, nil, "", failf("its content is not made of objects")
		}
		if b["type"] != "text" {
			others = appendStrings(others, b)
			continue
		}
		s, ok := b["text"].(string)
		if !ok {
			return v, nil, "", failf("its content has a text that is none")
		}
		texts = append(texts, s)
	}
	v.Text = strings.Join(texts, "\n")
	v.JSON = result["structuredContent"]
	others = appendStrings(others, v.JSON)
	if v.JSON == nil && len(texts) > 0 {
		if v.JSON, err = decodeExact([]byte(v.Text)); err != nil {
			v.JSON = nil
		}
	}
	return v, others, resultType, nil
}

// minBlob is the length from which on a string without a space that could be base64 is
// taken for a picture or the like, which no rule reads.
const minBlob = 256

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

// appendStrings appends the strings in a JSON value, and the names of its members,
// in the order of the names, without blobs.
func appendStrings(list []string, v any) []string {
	switch v := v.(type) {
	case string:
		if len(v) >= minBlob && strings.Trim(v, base64Alphabet) == "" {
			return list
		}
		return append(list, v)
	case []any:
		for _, e := range v {
			list = appendStrings(list, e)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			list = appendStrings(append(list, name), v[name])
		}
	}
	return list
}

func newResult(text string, structured []byte, isError bool, resultType string) []byte {
	out := append(appendQuoted([]byte(`{"content":[{"type":"text","text":`), text), `}]`...)
	if structured != nil {
		out = append(append(out, `,"structuredContent":`...), structured...)
	}
	if isError {
		out = append(out, `,"isError":true`...)
	}
	if resultType != "" {
		out = appendQuoted(append(out, `,"resultType":`...), resultType)
	}
	return append(out, '}')
}
