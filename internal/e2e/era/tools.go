package era

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// The Go SDK's reference server has tools that ask the client in the middle of a call by a request of their own, which
// only the legacy era has: in the modern one they fail. A modern server asks by an input_required result instead, and so
// do these tools when the server is left with the modern era. What they ask and answer is what the reference server's do.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr
var asking = map[string]func(arguments toolArguments) (request string){
	"test_sampling": func(a toolArguments) string {
		return `{"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":` +
			quote(a.Prompt) + `}}],"maxTokens":100}}`
	},
	"test_elicitation": func(a toolArguments) string {
		return elicitation(a.Message, `"username":{"type":"string","description":"Your preferred username"}},"required":["username"]`)
	},
	"test_elicitation_sep1034_defaults": func(toolArguments) string {
		return elicitation("Test defaults for primitives", `
			"name":{"type":"string","description":"User name","default":"John Doe"},
			"age":{"type":"integer","description":"User age","default":30},
			"score":{"type":"number","description":"User score","default":95.5},
			"status":{"type":"string","description":"User status","enum":["active","inactive","pending"],"default":"active"},
			"verified":{"type":"boolean","description":"Verification status","default":true}}`)
	},
	"test_elicitation_sep1330_enums": func(toolArguments) string {
		return elicitation("Test enum schemas", `
			"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},
			"titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},
				{"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]},
			"legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},
			"untitledMulti":{"type":"array","minItems":1,"maxItems":3,
				"items":{"type":"string","enum":["option1","option2","option3"]}},
			"titledMulti":{"type":"array","minItems":1,"maxItems":3,
				"items":{"type":"string","anyOf":[{"const":"value1","title":"First Option"},
				{"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]}}}`)
	},
}

type toolArguments struct {
	Prompt  string `json:"prompt"`
	Message string `json:"message"`
}

// elicitation is a form. The properties are closed, so that more of the schema may follow them.
func elicitation(message, properties string) string {
	return `{"method":"elicitation/create","params":{"mode":"form","message":` + quote(message) +
		`,"requestedSchema":{"type":"object","properties":{` + properties + `}}}`
}

func quote(s string) string {
	quoted, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		return `""`
	}
	return string(quoted)
}

// answer is the result of a call of one of the asking tools, and "" for every other message: first the question, then,
// of a retry, what the client answered.
func (m message) answer() (result string) {
	ask := asking[m.Params.Name]
	if m.Method != "tools/call" || ask == nil {
		return ""
	}
	if m.Params.InputResponses == nil {
		return `{"resultType":"input_required","inputRequests":{"question":` + ask(m.Params.Arguments) + `}}`
	}
	r := m.Params.InputResponses["question"]
	text := fmt.Sprintf("Elicitation result: action=%s, content=%s", r.Action, r.Content)
	if m.Params.Name == "test_sampling" {
		var content struct{ Text string }
		if err := unmarshal(r.Content, &content); err != nil {
			content.Text = "(non-text response)"
		}
		text = "LLM response: " + content.Text
	}
	return `{"resultType":"complete","content":[{"type":"text","text":` + quote(text) + `}]}`
}
