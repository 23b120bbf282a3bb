package trial

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// A record is what replay reads of a line of package audit.
type record struct {
	Time, ID, Event, Session, Principal, Client string
	Server, Method, Capability                  string
	Action, Rule, Reason                        string
	Arguments                                   []byte
	Cut                                         bool
}

// maxRecord bounds a line, in bytes, far above any that is written.
const maxRecord = 4 << 20

// read replays a log line by line, in the order of the file.
func (r *replayer) read(log io.Reader) error {
	in := bufio.NewReaderSize(log, 64<<10)
	for line := 1; ; line++ {
		text, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading line %d of the log: %w", line, err)
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		rec, ok := parseRecord(text)
		if !ok {
			r.out.Unreadable = append(r.out.Unreadable, line)
			continue
		}
		if err := r.record(line, rec); err != nil {
			return err
		}
	}
}

// readLine returns the next line; of one that is too long, a part that is no record.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line) <= maxRecord {
			line = append(line, part...)
		}
		switch {
		case err == nil || errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func parseRecord(text []byte) (*record, bool) {
	if len(text) > maxRecord || text[0] != '{' || jsonrpc.CheckValue(text, jsonrpc.Limits{}) != nil {
		return nil, false
	}
	rec := &record{Arguments: jsonrpc.Get(text, "arguments"), Cut: string(jsonrpc.Get(text, "arguments_cut")) == "true"}
	for name, field := range map[string]*string{
		"time": &rec.Time, "id": &rec.ID, "event": &rec.Event, "session": &rec.Session, "principal": &rec.Principal, "client": &rec.Client,
		"server": &rec.Server, "method": &rec.Method, "capability": &rec.Capability, "action": &rec.Action, "rule": &rec.Rule, "reason": &rec.Reason,
	} {
		*field, _ = jsonrpc.GetString(text, name)
	}
	if len(rec.Arguments) > 0 && rec.Arguments[0] != '{' && rec.Method == "tools/call" && !rec.Cut {
		return nil, false
	}
	return rec, rec.Event != ""
}

// Print writes what would differ as people read it; quiet writes the summary alone.
func (r *Replay) Print(w io.Writer, quiet bool) {
	for _, c := range r.Calls {
		if quiet {
			break
		}
		fmt.Fprintf(w, "%s  %s", c.Time, oneLine(c.Call))
		if len(c.arguments) > 0 {
			fmt.Fprintf(w, " %s", short(c.arguments))
		}
		if c.Outcome == Differs {
			fmt.Fprintf(w, "\n    %s -> %s\n", c.Old, c.New)
		} else {
			fmt.Fprintf(w, "\n    %s -> cannot tell\n", c.Old)
		}
		for _, why := range c.Why {
			fmt.Fprintf(w, "        %s\n", oneLine(why))
		}
		for _, assumption := range c.Assumes {
			fmt.Fprintf(w, "        if %s\n", assumption)
		}
	}
	fmt.Fprintf(w, "%s: %d differ, %d cannot be told, %d as before", count(r.Same+r.Differs+r.CannotTell, "decision"), r.Differs, r.CannotTell, r.Same)
	if r.NotCompared > 0 {
		fmt.Fprintf(w, "; %s not compared, because the call was refused before the policy was asked", count(r.NotCompared, "record"))
	}
	fmt.Fprintln(w)
	if r.Assuming > 0 {
		fmt.Fprintf(w, "%s on the log showing all that was counted, and sessions from their beginning\n", count(r.Assuming, "decision")+verb(r.Assuming))
	}
	if len(r.Unreadable) > 0 {
		fmt.Fprintf(w, "%s without a record, the first is line %d\n", count(len(r.Unreadable), "line"), r.Unreadable[0])
	}
}

func verb(n int) string {
	if n == 1 {
		return " rests"
	}
	return " rest"
}

func (d Decided) String() string {
	if d.Rule == "" {
		return d.Action
	}
	return fmt.Sprintf("%s by %q", d.Action, oneLine(d.Rule))
}

// short is what is shown of arguments.
func short(raw []byte) string {
	return visible.Cut(oneLine(string(raw)), maxShown)
}
