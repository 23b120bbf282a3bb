package vault

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/hashicorp/vault/api"
)

// read is what a path in Vault held: its fields as JSON, or why it has none.
type read struct {
	fields map[string]jsontext.Value
	err    error
}

// vault returns the value of a reference to Vault.
func (b *batch) vault(ctx context.Context, ref *Ref) (string, error) {
	got, again := b.reads[ref.Path]
	if !again {
		got.fields, got.err = b.readPath(ctx, ref.Path)
		b.reads[ref.Path] = got
	}
	if got.err != nil {
		return "", got.err
	}
	raw, ok := got.fields[ref.Field]
	if !ok {
		names := slices.Sorted(maps.Keys(got.fields))
		if near := nearest(ref.Field, names); near != "" {
			return "", fmt.Errorf("%s has no field %q; did you mean %q? Its fields are %s", ref.Path, ref.Field, near, list(names))
		}
		return "", fmt.Errorf("%s has no field %q; its fields are %s", ref.Path, ref.Field, list(names))
	}
	switch raw.Kind() {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			// The error could quote the value.
			return "", fmt.Errorf("the field %q of %s is not a valid string", ref.Field, ref.Path)
		}
		return s, nil
	case 'n':
		return "", fmt.Errorf("the field %q of %s is null; store a value", ref.Field, ref.Path)
	default:
		// Numbers above all: as they were written, to the last digit.
		return string(raw), nil
	}
}

// readPath reads a path of a KV engine of either version.
func (b *batch) readPath(ctx context.Context, path string) (map[string]jsontext.Value, error) {
	if b.down != nil {
		return nil, b.down
	}
	client, err := b.r.login(ctx)
	if err != nil {
		b.down = err
		return nil, err
	}
	m, err := b.mountOf(ctx, client, path)
	if err != nil {
		return nil, err
	}
	at := path
	if m.version == 2 {
		at = m.path + "data/" + strings.TrimPrefix(path, m.path)
	}
	// The body of a 404 says whether a version was deleted, so it is read too.
	resp, err := client.Logical().ReadRawWithContext(ctx, at)
	body, readErr := drain(resp)
	if status(err) == http.StatusNotFound {
		return nil, notFound(path, m, body)
	}
	if err == nil {
		err = readErr
	}
	if err != nil {
		return nil, b.explain(ctx, client, "reading "+path, err)
	}

	var v1 struct {
		Data jsontext.Value `json:"data"`
	}
	if err := unmarshal(body, &v1); err != nil {
		return nil, badReply(path)
	}
	data := v1.Data
	if m.version == 2 {
		var v2 struct {
			Data jsontext.Value `json:"data"`
		}
		if err := unmarshal(data, &v2); err != nil {
			return nil, badReply(path)
		}
		data = v2.Data
	}
	var fields map[string]jsontext.Value
	if err := unmarshal(data, &fields); err != nil || fields == nil {
		return nil, badReply(path)
	}
	return fields, nil
}

// mount is a secret engine's place.
type mount struct {
	path    string // with a slash at its end
	version int    // of KV: 1 or 2
}

// mountOf asks Vault which mount holds path, as its command line does. The mount's
// name may itself hold slashes, so it cannot be told from the path.
func (b *batch) mountOf(ctx context.Context, client *api.Client, path string) (mount, error) {
	resp, err := client.Logical().ReadRawWithContext(ctx, "sys/internal/ui/mounts/"+path)
	body, readErr := drain(resp)
	switch {
	case status(err) == http.StatusNotFound:
		// A server from before 0.10 has neither this question nor KV version 2.
		first, _, _ := strings.Cut(path, "/")
		return mount{path: first + "/", version: 1}, nil
	case status(err) == http.StatusForbidden:
		return mount{}, fmt.Errorf("the token is denied any access to %s, or no secret engine is mounted there; "+
			"check the path, and that the token is valid and its policy has the capability read", path)
	case err == nil:
		err = readErr
	}
	if err != nil {
		return mount{}, b.explain(ctx, client, "finding the engine of "+path, err)
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
	m := mount{path: reply.Data.Path, version: 1}
	switch reply.Data.Type {
	case "kv", "generic", "cubbyhole":
	default:
		return mount{}, fmt.Errorf("%s is a secret engine of type %q; only KV, version 1 and 2, can be read", m.path, reply.Data.Type)
	}
	if strings.TrimSuffix(m.path, "/") == path {
		return mount{}, fmt.Errorf("%s is the mount itself; name a secret in it", path)
	}
	if v := reply.Data.Options["version"]; v != "" {
		if m.version, err = strconv.Atoi(v); err != nil || m.version < 1 || m.version > 2 {
			return mount{}, fmt.Errorf("%s is a KV engine of the unknown version %q; versions 1 and 2 can be read", m.path, v)
		}
	}
	return m, nil
}

// notFound explains a 404 for a secret.
func notFound(path string, m mount, body []byte) error {
	var reply struct {
		Data struct {
			Metadata struct {
				DeletionTime string `json:"deletion_time"`
				Destroyed    bool   `json:"destroyed"`
				Version      int    `json:"version"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if m.version == 2 && unmarshal(body, &reply) == nil {
		switch meta := reply.Data.Metadata; {
		case meta.Destroyed:
			return fmt.Errorf("version %d of %s, the latest, was destroyed; store a new one", meta.Version, path)
		case meta.DeletionTime != "":
			return fmt.Errorf("version %d of %s, the latest, was deleted at %s; undelete it with `vault kv undelete`, or store a new one",
				meta.Version, path, meta.DeletionTime)
		}
		if rest, ok := strings.CutPrefix(path, m.path+"data/"); ok {
			return fmt.Errorf("there is no secret at %s; the path is given without data/, did you mean %s%s?", path, m.path, rest)
		}
	}
	return fmt.Errorf("there is no secret at %s in the KV engine %s (version %d); check the path with `vault kv list %s`", path, m.path, m.version, m.path)
}

// explain turns the error of a request into one that says what to do. When Vault
// as a whole cannot be used, the batch asks it nothing more.
func (b *batch) explain(ctx context.Context, client *api.Client, doing string, err error) error {
	const again = "it is tried again when the server is started again"
	address := client.Address()
	var moved *redirectError
	var unknownAuthority x509.UnknownAuthorityError
	var badName x509.HostnameError
	var badCertificate x509.CertificateInvalidError
	switch code := status(err); {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s was cancelled: %w", doing, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || isTimeout(err):
		b.down = fmt.Errorf("the Vault server at %s gave no answer within the time limit of %v; check that it is well, %s: %w",
			address, b.r.options.Timeout, again, context.DeadlineExceeded)
	case errors.As(err, &moved):
		b.down = fmt.Errorf("the address of Vault, %s, is not the server's own: %w; set the address to the active server's", address, moved)
	case errors.Is(err, errTooLarge):
		return fmt.Errorf("%s: %w; is %s a Vault server?", doing, errTooLarge, address)
	case errors.As(err, &unknownAuthority) || errors.As(err, &badName) || errors.As(err, &badCertificate):
		b.down = fmt.Errorf("the certificate of Vault at %s is not trusted: %w; name its authority in VAULT_CACERT or in the configuration", address, err)
	case code == 0:
		b.down = fmt.Errorf("the Vault server at %s cannot be reached: %w; check the address and that it runs, %s", address, b.cause(client, err), again)
	case code == http.StatusServiceUnavailable:
		b.down = fmt.Errorf("the Vault server at %s is sealed or not ready (503); unseal it, %s", address, again)
	case code == http.StatusForbidden:
		return fmt.Errorf("%s: Vault denies it (403); give the token's policy the capability read there, or log in again if the token has expired", doing)
	case code == http.StatusTooManyRequests:
		return fmt.Errorf("%s: Vault's rate limit is used up (429); %s", doing, again)
	default:
		return fmt.Errorf("%s: Vault answered %d%s", doing, code, b.reasons(client, err))
	}
	return b.down
}

// cause returns the innermost error of a failed request. The outer ones repeat
// the method and URL.
func (b *batch) cause(client *api.Client, err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return errors.New(b.clean(client, err.Error()))
		}
		err = inner
	}
}

// reasons returns what Vault's reply said to an error, shortened.
func (b *batch) reasons(client *api.Client, err error) string {
	var reply *api.ResponseError
	if !errors.As(err, &reply) || reply.RawError || len(reply.Errors) == 0 {
		return ""
	}
	return ": " + b.clean(client, strings.Join(reply.Errors, "; "))
}

// clean makes text of a server's fit for an error: one short line without the
// token, which a server could repeat.
func (b *batch) clean(client *api.Client, text string) string {
	const long = 200
	if token := client.Token(); token != "" {
		text = strings.ReplaceAll(text, token, "(token)")
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > long {
		text = strings.ToValidUTF8(text[:long], "") + "..."
	}
	return text
}

func badReply(path string) error {
	return fmt.Errorf("the reply for %s is not what a KV engine sends; check that the address is that of a Vault server", path)
}

// unmarshal reads one of Vault's replies. The errors of the JSON package may
// quote what they read, so callers must not pass them on.
func unmarshal(data []byte, to any) error {
	return json.Unmarshal(data, to)
}

// drain reads and closes the body of a reply, if there is one.
func drain(resp *api.Response) ([]byte, error) {
	if resp == nil || resp.Body == nil {
		return nil, nil
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// status returns the HTTP status of an error from Vault's client, or 0 if there
// was no reply.
func status(err error) int {
	var reply *api.ResponseError
	if errors.As(err, &reply) {
		return reply.StatusCode
	}
	return 0
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// list writes names for an error message: the first twenty, quoted.
func list(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	var quoted []string
	for i, name := range names {
		if i == most {
			quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		quoted = append(quoted, strconv.Quote(name))
	}
	return strings.Join(quoted, ", ")
}
