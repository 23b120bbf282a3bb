package post

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Keep is how long a prompt waits for firewalls that start.
const Keep = 2 * time.Minute

// maxLeft bounds how many prompts wait.
const maxLeft = 32

// Names in the folder: SELF-CLIENT with this end for sockets, TIME-ID with the other for
// prompts that wait.
const (
	socketEnd = ".sock"
	leftEnd   = ".prompt"
)

// maxName is the length of the longest name of a socket that a system makes: two process
// ids below 2^22 and two times.
const maxName = 44

// Folder returns the folder below dir in which hooks and firewalls meet. It is made if it is
// not there. It is an error if anybody else can open it.
//
// It is below dir unless a socket's path there would be too long for the system; then it
// is in /tmp under a name made of dir.
func Folder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the state folder: %w", err)
	}
	folder := filepath.Join(dir, "hook")
	if len(folder)+1+maxName > maxPath {
		h := fnv.New64a()
		h.Write([]byte(dir))
		folder = filepath.Join(shortDir(), "mcpfirewall-"+strconv.Itoa(os.Getuid())+"-"+strconv.FormatUint(h.Sum64(), 36))
	}
	if err := makePrivate(folder); err != nil {
		return "", fmt.Errorf("making the folder where hooks and firewalls meet: %w", err)
	}
	return folder, nil
}

// Firewall is a socket in the folder.
type Firewall struct {
	Process Process
	Client  Process // its parent process; zero if it has none that counts
	Path    string
}

// SocketName returns the name of a firewall's socket.
func SocketName(self, client Process) string {
	return self.String() + "-" + client.String() + socketEnd
}

// Firewalls returns the sockets in the folder, of processes that live and of others.
func Firewalls(folder string) ([]Firewall, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("looking for firewalls: %w", err)
	}
	var found []Firewall
	for _, e := range entries {
		words := strings.Split(strings.TrimSuffix(e.Name(), socketEnd), "-")
		if len(words) != 4 || !strings.HasSuffix(e.Name(), socketEnd) {
			continue
		}
		self, ok1 := parseProcess(words[0] + "-" + words[1])
		client, ok2 := parseProcess(words[2] + "-" + words[3])
		if ok1 && ok2 {
			found = append(found, Firewall{self, client, filepath.Join(folder, e.Name())})
		}
	}
	return found, nil
}

// Nearest returns the first process of chain that is the client of one of the firewalls.
func Nearest(chain []Process, firewalls []Firewall) (client Process, ok bool) {
	for _, p := range chain {
		if slices.ContainsFunc(firewalls, func(f Firewall) bool { return f.Client == p }) {
			return p, true
		}
	}
	return Process{}, false
}

// Below reports whether one of the firewalls is in chain.
func Below(chain []Process, firewalls []Firewall) bool {
	return slices.ContainsFunc(firewalls, func(f Firewall) bool { return slices.Contains(chain, f.Process) })
}

// leftName returns the name under which a prompt waits. Names sort by time.
func leftName(at time.Time, id string) string {
	return fmt.Sprintf("%013d-%s%s", at.UnixMilli(), id, leftEnd)
}

// left returns the names of the prompts that wait, the oldest first, and those among them
// that waited long enough.
func left(folder string, now time.Time) (names, over []string) {
	entries, _ := os.ReadDir(folder) // sorted
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".new")
		if !strings.HasSuffix(name, leftEnd) {
			continue
		}
		millis, _, _ := strings.Cut(name, "-")
		n, err := strconv.ParseInt(millis, 10, 64)
		age := now.Sub(time.UnixMilli(n))
		// One from the future would never go.
		if err != nil || age > Keep || age < -Keep {
			over = append(over, e.Name())
		} else {
			names = append(names, e.Name())
		}
	}
	return names, over
}

// Sweep removes the prompts that waited long enough, and the oldest of the others until
// there are no more than most.
func Sweep(folder string, most int) {
	names, over := left(folder, time.Now())
	over = append(over, names[:max(0, len(names)-most)]...)
	for _, name := range over {
		os.Remove(filepath.Join(folder, name))
	}
}

// Waiting returns the prompts that wait in the folder, the oldest first. What others than
// the user could have written, or is damaged, is left out.
func Waiting(folder string) []Message {
	var found []Message
	names, _ := left(folder, time.Now())
	for _, name := range names {
		if m, ok := readLeft(filepath.Join(folder, name)); ok {
			found = append(found, m)
		}
	}
	return found
}

func readLeft(path string) (m Message, ok bool) {
	if !strings.HasSuffix(path, leftEnd) {
		return m, false // not complete
	}
	f, err := openPrivate(path)
	if err != nil {
		return m, false
	}
	defer f.Close()
	m, size, err := ReadHeader(f)
	if err != nil || len(m.Chain) > maxDepth || m.ReadText(f, size) != nil {
		return m, false
	}
	n, _ := f.Read(make([]byte, 1))
	return m, n == 0
}
