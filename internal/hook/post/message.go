package post

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxText is the size of the largest prompt, in bytes.
const MaxText = 8 << 20

// magic begins every message. Its number changes with the form of the header.
const magic = "mcpfirewall prompt 1\n"

// Largest fields of a header, in bytes.
const (
	maxID      = 32
	maxSession = 1 << 10
	maxCwd     = 32 << 10
	maxChain   = 16 << 10
)

// Message is a prompt on its way. On a socket and in a file it is the magic line, then
// the fields id, session, client session, working directory and ancestors, each as its
// length in four bytes, big endian, and its bytes; then the text in the same form.
type Message struct {
	ID string
	Prompt
	Chain []Process // the hook's ancestors, itself first; empty on a socket
}

var errMessage = errors.New("this is no prompt")

func (m *Message) check() error {
	for _, f := range m.fields() {
		if len(*f.value) > f.max {
			return fmt.Errorf("the prompt's %s has %d bytes, the most that is taken is %d", f.name, len(*f.value), f.max)
		}
	}
	if len(m.Text) > MaxText {
		return fmt.Errorf("the prompt has %d bytes, the most that is taken is %d", len(m.Text), MaxText)
	}
	return nil
}

type field struct {
	name  string
	value *string
	max   int
}

func (m *Message) fields() [4]field {
	return [4]field{
		{"id", &m.ID, maxID}, {"session", &m.Session, maxSession},
		{"session_id", &m.ClientSession, maxSession}, {"cwd", &m.Cwd, maxCwd},
	}
}

// header returns everything but the text itself.
func (m *Message) header() []byte {
	b := []byte(magic)
	put := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, f := range m.fields() {
		put(*f.value)
	}
	chain := make([]string, len(m.Chain))
	for i, p := range m.Chain {
		chain[i] = p.String()
	}
	put(strings.Join(chain, " "))
	return binary.BigEndian.AppendUint32(b, uint32(len(m.Text)))
}

// ReadHeader reads everything but the text, and returns the size of that.
func ReadHeader(r io.Reader) (m Message, size int, err error) {
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(r, begin); err != nil {
		return m, 0, err
	}
	if string(begin) != magic {
		return m, 0, errMessage
	}
	for _, f := range m.fields() {
		if *f.value, err = readField(r, f.max); err != nil {
			return m, 0, err
		}
	}
	chain, err := readField(r, maxChain)
	if err != nil {
		return m, 0, err
	}
	for word := range strings.FieldsSeq(chain) {
		p, ok := parseProcess(word)
		if !ok {
			return m, 0, errMessage
		}
		m.Chain = append(m.Chain, p)
	}
	size, err = readSize(r, MaxText)
	return m, size, err
}

// ReadText reads the text after a header.
func (m *Message) ReadText(r io.Reader, size int) error {
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return errMessage
	}
	m.Text = string(b)
	return nil
}

func readSize(r io.Reader, most int) (int, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(b[:])
	if uint64(n) > uint64(most) {
		return 0, errMessage
	}
	return int(n), nil
}

func readField(r io.Reader, most int) (string, error) {
	n, err := readSize(r, most)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errMessage
	}
	return string(b), nil
}
