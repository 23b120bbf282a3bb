// Package post is the side of `mcpfirewall hook`: it reads what a client's hook says about
// a prompt and posts the prompt to the firewall processes of that client. Package hook is
// the other side.
//
//	delivered, err := post.Send(ctx, dir, post.Prompt{Session: "work", Text: "Pay Ann 20 euros"})
//
// Firewalls and hooks meet in a folder below the user's default state folder that only the
// user can open. Each firewall has a socket there, whose name says which process it is and which
// process is its client. A prompt is also left there as a file for a short while, because
// clients start their servers while the first prompt is already on its way: a firewall
// that starts takes the prompts that were meant for it.
//
// A client waits for its hooks before it goes on. So this package runs the command itself
// while the program initialises ([init] of early.go), before the packages that take longer
// than the hook has, and it imports next to nothing so that its turn comes early.
package post

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Prompt is what a user gave to a client.
type Prompt struct {
	Session       string // the name that --session gave, or ""
	ClientSession string // the client's own id of its conversation
	Text          string
	Cwd           string // the client's working directory
}

// Patience is how long a hook waits for the firewalls altogether. One that answers at all
// does so within a few milliseconds; the rest is for machines that are busy with other
// things, and for prompts of megabytes.
const Patience = 250 * time.Millisecond

// maxFirewalls bounds how many firewalls get one prompt.
const maxFirewalls = 64

// Answers of a firewall, one byte each.
const (
	AnswerGo       = 'g' // the prompt is for this firewall: send the text
	AnswerRecorded = 'k' // its values are recorded
	AnswerOther    = 'n' // it is for another one
	AnswerRefused  = 'r' // whoever sends it is not believed
	AnswerFailed   = 'e' // it could not be recorded
)

// ErrRefused is wrapped by the error of [Send] when a firewall did not believe it.
var ErrRefused = errors.New("a firewall refused the prompt, because this process runs below a firewall or cannot be looked at")

// Send gives a prompt to the firewalls that it is meant for and that meet hooks below dir, and
// returns how many have recorded it. It is no error that there are none. Firewalls that
// start within [Keep] get it too.
//
// A firewall gets the prompt if both have a session name and the names are equal. If one
// of them has none, it gets it if its client, which is the parent process of the firewall,
// is an ancestor of this process, and no nearer ancestor is the client of another firewall.
func Send(ctx context.Context, dir string, p Prompt) (delivered int, err error) {
	m := Message{ID: newID(), Prompt: p}
	if err := m.check(); err != nil {
		return 0, err
	}
	folder, err := Folder(dir)
	if err != nil {
		return 0, err
	}
	var errs []error
	m.Chain, err = Ancestors(os.Getpid())
	if err != nil {
		if p.Session == "" {
			return 0, fmt.Errorf("finding the client that runs this hook: %w", err)
		}
		errs = append(errs, err)
	}
	firewalls, err := Firewalls(folder)
	if err != nil {
		return 0, err
	}
	// They would refuse it anyway, but those that start later may not know that one of
	// the processes here was a firewall.
	if Below(m.Chain, firewalls) {
		return 0, ErrRefused
	}
	// Before the firewalls are looked for again: one that comes up now finds either this file or
	// this process.
	if err := leave(folder, m); err != nil {
		errs = append(errs, err)
	}
	if firewalls, err = Firewalls(folder); err != nil {
		return 0, errors.Join(append(errs, err)...)
	}
	client, linked := Nearest(m.Chain, firewalls)
	var mu sync.Mutex
	var all sync.WaitGroup
	sent := 0
	for _, f := range firewalls {
		if p.Session == "" && (!linked || f.Client != client) {
			continue
		}
		if sent++; sent > maxFirewalls {
			errs = append(errs, fmt.Errorf("more than %d firewalls have this client; the rest does not get the prompt", maxFirewalls))
			break
		}
		all.Go(func() {
			ok, err := deliver(ctx, f, m)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				delivered++
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("giving the prompt to the firewall with process id %d: %w", f.Process.Pid, err))
			}
		})
	}
	all.Wait()
	return delivered, errors.Join(errs...)
}

// deliver gives the prompt to one firewall and waits until it is recorded.
func deliver(ctx context.Context, f Firewall, m Message) (bool, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", f.Path)
	if err != nil {
		if Refused(err) && !Alive(f.Process) {
			os.Remove(f.Path) // nobody listens, and nobody will: the name is of one process only
			return false, nil
		}
		return false, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	m.Chain = nil // the firewall finds out itself
	if _, err := conn.Write(m.header()); err != nil {
		return false, err
	}
	switch answer, err := readAnswer(conn); {
	case err != nil:
		return false, err
	case answer == AnswerOther:
		return false, nil
	case answer != AnswerGo:
		return false, ErrRefused
	}
	if _, err := io.WriteString(conn, m.Text); err != nil {
		return false, err
	}
	switch answer, err := readAnswer(conn); {
	case err != nil:
		return false, err
	case answer != AnswerRecorded:
		return false, errors.New("it could not record the prompt; its log says why")
	}
	return true, nil
}

func readAnswer(conn net.Conn) (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(conn, b[:])
	return b[0], err
}

// newID returns a name for one prompt, by which a firewall that gets it twice knows it.
func newID() string {
	var b [10]byte
	rand.Read(b[:])
	return base32.HexEncoding.EncodeToString(b[:])
}

// leave puts the prompt where firewalls that start later find it.
func leave(folder string, m Message) error {
	Sweep(folder, maxLeft-1)
	b := append(m.header(), m.Text...)
	path := filepath.Join(folder, leftName(time.Now(), m.ID))
	// Under a name that no reader takes, until it is complete.
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("leaving the prompt for firewalls that start later: %w", err)
	}
	_, err = f.Write(b)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("leaving the prompt for firewalls that start later: %w", err)
	}
	return nil
}
