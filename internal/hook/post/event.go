package post

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxEvent is the size of the largest event, in bytes: a prompt in which everything is
// escaped, and the rest.
const MaxEvent = 6*MaxText + 1<<20

// ErrOtherEvent is returned by [ReadEvent] for what is no prompt.
var ErrOtherEvent = errors.New("the event is no UserPromptSubmit")

// ReadEvent reads what Claude Code gives its UserPromptSubmit hooks on standard input
// (https://code.claude.com/docs/en/hooks#userpromptsubmit): one object with, among others,
// hook_event_name, session_id, cwd and prompt. A duplicate name is an error. A lone
// surrogate, which is left of an emoji that was cut, becomes U+FFFD.
func ReadEvent(r io.Reader) (Prompt, error) {
	var p Prompt
	b, err := io.ReadAll(io.LimitReader(r, MaxEvent+1))
	if err != nil {
		return p, fmt.Errorf("reading the event: %w", err)
	}
	if len(b) > MaxEvent {
		return p, fmt.Errorf("reading the event: it has more than %d bytes", MaxEvent)
	}
	event, prompted := "", false
	d := jsontext.NewDecoder(bytes.NewReader(b), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '{' {
		return p, errors.New("reading the event: it is no JSON object")
	}
	if _, err := d.ReadToken(); err != nil {
		return p, fmt.Errorf("reading the event: %w", plain(err))
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return p, fmt.Errorf("reading the event: %w", plain(err))
		}
		var field *string
		switch name.String() {
		case "hook_event_name":
			field = &event
		case "session_id":
			field = &p.ClientSession
		case "cwd":
			field = &p.Cwd
		case "prompt":
			field, prompted = &p.Text, true
		}
		switch {
		case field == nil:
			err = d.SkipValue()
		case d.PeekKind() == 0:
			_, err = d.ReadToken() // says what is wrong
		case d.PeekKind() != '"':
			return p, errors.New("reading the event: hook_event_name, session_id, cwd or prompt is no string")
		default:
			var value jsontext.Token
			if value, err = d.ReadToken(); err == nil {
				*field = value.String()
			}
		}
		if err != nil {
			return p, fmt.Errorf("reading the event: %w", plain(err))
		}
	}
	if _, err := d.ReadToken(); err != nil { // the end of the object
		return p, fmt.Errorf("reading the event: %w", plain(err))
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return p, errors.New("reading the event: something follows the JSON object")
	}
	if event != "UserPromptSubmit" {
		return p, ErrOtherEvent
	}
	if !prompted {
		return p, errors.New("reading the event: it has no prompt")
	}
	return p, nil
}

// plain says what is wrong with JSON without quoting it.
func plain(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("it is no JSON at byte %d", syntax.ByteOffset)
	}
	return err
}
