package vault

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/hashicorp/vault/api"
)

// reading is what a place held when it was read. Nothing in it changes.
type reading struct {
	text    string                    // of a variable, a file or the keychain
	fields  map[string]jsontext.Value // of a path in Vault
	changes changes
	lease   *lease    // of a dynamic secret; otherwise nil
	mount   mount     // of a path in Vault
	version int       // in KV version 2
	written time.Time // that version, or the file
	next    time.Time // when it says that it changes; zero if it does not say
}

// changes is how a later reading can come to differ.
type changes int

const (
	never  changes = iota
	polled         // another may store something else; looked at from time to time
	leased         // it ends, and the next reading is another secret
)

// mount is a secret engine's place.
type mount struct {
	path    string // with a slash at its end
	engine  string // its type, such as kv or database
	version int    // of KV: 1 or 2; otherwise 0
}

func (m mount) String() string {
	if m.version != 0 {
		return fmt.Sprintf("kv version %d", m.version)
	}
	return m.engine
}

// reply is the frame of all of Vault's replies.
type reply struct {
	LeaseID       string         `json:"lease_id"`
	LeaseDuration int64          `json:"lease_duration"` // seconds
	Renewable     bool           `json:"renewable"`
	Data          jsontext.Value `json:"data"`
}

// asker is ask, or what takes its place.
type asker = func(context.Context, func(*api.Client) (*api.Response, error)) (*api.Client, []byte, error)

// ask sends a request that send makes, a second time if the token turned out not
// to be accepted any more. The body is read for an error too.
func (r *Resolver) ask(ctx context.Context, send func(*api.Client) (*api.Response, error)) (client *api.Client, body []byte, err error) {
	if client, err = r.login(ctx); err != nil {
		return nil, nil, &downError{err}
	}
	for again := false; ; again = true {
		resp, err := send(client)
		body, readErr := drain(resp)
		if err == nil {
			err = readErr
		}
		if status(err) != http.StatusForbidden || again {
			return client, body, err
		}
		other, loginErr := r.relogin(ctx, client)
		if loginErr != nil {
			return client, nil, &downError{loginErr}
		}
		if other == nil {
			return client, body, err
		}
		client = other
	}
}

// readVault reads a path of any engine: with parameters by a write, except for KV.
func (r *Resolver) readVault(ctx context.Context, path string, params map[string][]string) (*reading, error) {
	m, err := r.mountOf(ctx, path)
	if err != nil {
		return nil, err
	}
	if m.version != 0 {
		return r.readKV(ctx, m, path, params)
	}
	doing, capability := "reading "+path, "read"
	send := func(c *api.Client) (*api.Response, error) { return c.Logical().ReadRawWithContext(ctx, path) }
	if params != nil {
		doing, capability = "writing to "+path, "update"
		body, err := writeBody(params)
		if err != nil {
			return nil, fmt.Errorf("%s: its parameters are not text", doing)
		}
		send = func(c *api.Client) (*api.Response, error) { return c.Logical().WriteRawWithContext(ctx, path, body) }
	}
	asked := time.Now()
	client, body, err := r.ask(ctx, send)
	switch {
	case isDown(err):
		return nil, err
	case status(err) == http.StatusNotFound:
		return nil, fmt.Errorf("the engine %s (%s) has nothing at %s; check the path", m.path, m.engine, path)
	case status(err) == http.StatusMethodNotAllowed && params == nil:
		return nil, fmt.Errorf("the engine %s (%s) is not read but written to at %s; "+
			"give the parameters that it needs after a ?, as in ?ttl=1h, or a ? alone", m.path, m.engine, path)
	case err != nil:
		return nil, r.explain(ctx, client, doing, capability, err)
	}
	var got reply
	if err := unmarshal(body, &got); err != nil {
		return nil, badReply(path)
	}
	// From here on there may be a lease, which must not be forgotten.
	l := r.newLease(client, path, asked, got)
	fields, err := fieldsOf(got.Data)
	if err != nil {
		l.drop(nil)
		return nil, badReply(path)
	}
	out := &reading{fields: fields, mount: m, changes: never}
	end := expiry(fields, params, asked)
	if got.LeaseID == "" && !end.IsZero() && !end.After(time.Now()) {
		return nil, fmt.Errorf("what the engine %s (%s) gives at %s has ended already; compare the clocks of this machine and of Vault's", m.path, m.engine, path)
	}
	switch _, rotated := fields["last_vault_rotation"]; {
	case got.LeaseID != "":
		out.changes, out.lease = leased, l
	case rotated:
		// One account that Vault gives a new password from time to time: to read it
		// early brings nothing, and its end is not that of a secret of ours.
		out.changes, out.next = polled, end
	case !end.IsZero():
		l.ttl = end.Sub(asked)
		out.changes, out.lease = leased, l
	case got.LeaseDuration > 0:
		out.changes, out.lease = leased, l
	}
	if out.lease != nil {
		r.keep(l)
	}
	return out, nil
}

// writeBody returns the parameters as Vault's command line would send them: texts,
// and lists of them where a name comes more than once.
func writeBody(params map[string][]string) ([]byte, error) {
	body := map[string]any{}
	for name, values := range params {
		if body[name] = values; len(values) == 1 {
			body[name] = values[0]
		}
	}
	return json.Marshal(body, json.Deterministic(true))
}

// mountOf asks Vault which mount holds path, as its command line does. The mount's
// name may itself hold slashes, so it cannot be told from the path.
func (r *Resolver) mountOf(ctx context.Context, path string) (mount, error) {
	client, body, err := r.ask(ctx, func(c *api.Client) (*api.Response, error) {
		return c.Logical().ReadRawWithContext(ctx, "sys/internal/ui/mounts/"+path)
	})
	switch {
	case isDown(err):
		return mount{}, err
	case status(err) == http.StatusNotFound:
		// A server from before 0.10 has neither this question nor KV version 2.
		first, _, _ := strings.Cut(path, "/")
		return mount{path: first + "/", engine: "kv", version: 1}, nil
	case status(err) == http.StatusForbidden:
		return mount{}, fmt.Errorf("the token is denied any access to %s, or no secret engine is mounted there; "+
			"check the path, and that the token is valid and its policy has the capability read", path)
	case err != nil:
		return mount{}, r.explain(ctx, client, "finding the engine of "+path, "read", err)
	}
	var reply struct {
		Data struct {
			Path    string            `json:"path"`
			Type    string            `json:"type"`
			Options map[string]string `json:"options"`
		} `json:"data"`
	}
	if err := unmarshal(body, &reply); err != nil || reply.Data.Path == "" || !strings.HasPrefix(path+"/", reply.Data.Path) {
		return mount{}, badReply(path)
	}
	m := mount{path: reply.Data.Path, engine: reply.Data.Type}
	if strings.TrimSuffix(m.path, "/") == path {
		return mount{}, fmt.Errorf("%s is the mount itself; name a secret in it", path)
	}
	switch m.engine {
	case "kv", "generic", "cubbyhole":
	case "system", "token":
		return mount{}, fmt.Errorf("%s is Vault's own administration and holds no secrets for servers", m.path)
	default:
		return m, nil
	}
	m.engine, m.version = "kv", 1
	if v := reply.Data.Options["version"]; v != "" {
		if m.version, err = strconv.Atoi(v); err != nil || m.version < 1 || m.version > 2 {
			return mount{}, fmt.Errorf("%s is a KV engine of the unknown version %q; versions 1 and 2 can be read", m.path, v)
		}
	}
	return m, nil
}

// field returns the value of a field, which may lie in an object: a name with dots
// that is not itself a field's leads into it.
func (got *reading) field(path, name string) (string, error) {
	raw, ok := got.fields[name]
	for at, rest, fields := "", name, got.fields; !ok; {
		first, after, dotted := strings.Cut(rest, ".")
		inner, err := fieldsOf(fields[first])
		if !dotted || err != nil {
			names := slices.Sorted(maps.Keys(fields))
			if near := nearest(rest, names); near != "" {
				return "", fmt.Errorf("%s has no field %q; did you mean %q? Its fields are %s", path, name, at+near, list(names))
			}
			return "", fmt.Errorf("%s has no field %q; its fields are %s", path, name, list(names))
		}
		at, rest, fields = at+first+".", after, inner
		raw, ok = fields[rest]
	}
	switch raw.Kind() {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			// The error could quote the value.
			return "", fmt.Errorf("the field %q of %s is not a valid string", name, path)
		}
		return s, nil
	case 'n':
		return "", fmt.Errorf("the field %q of %s is null", name, path)
	default:
		// Numbers above all: as they were written, to the last digit.
		return string(raw), nil
	}
}

// fieldsOf returns the members of a JSON object.
func fieldsOf(raw jsontext.Value) (map[string]jsontext.Value, error) {
	var fields map[string]jsontext.Value
	if raw.Kind() != '{' {
		return nil, fmt.Errorf("not an object")
	}
	if err := unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	return fields, nil
}
