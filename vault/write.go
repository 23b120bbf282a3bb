package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/hashicorp/vault/api"
)

// ErrChanged is the error of Replace when something else than the old value is stored.
var ErrChanged = errors.New("somebody has stored another value in the meantime")

// replaceTries bounds how often Replace begins anew because another field has changed.
const replaceTries = 5

// Replace stores value in the place of old, in the field that s, one reference, names. It
// is for a credential that is replaced by being used, such as a refresh token. Only a KV
// engine of version 2 can be written to, since only it can check that nobody else has
// written in between (check-and-set); the other fields stay as they are, and so does the
// version before. If value is stored already, nothing is done.
func (r *Resolver) Replace(ctx context.Context, s string, v Vars, old, value string) error {
	parts, err := Parse(s)
	if err != nil {
		return err
	}
	if len(parts) != 1 || parts[0].Ref == nil {
		return errors.New("a new value can be stored only where one reference is all that the old one comes from")
	}
	ref := parts[0].Ref
	fail := func(err error) error { return fmt.Errorf("storing a new value at %s: %w", ref.Text, err) }
	if ref.Source != SourceVault {
		return fail(fmt.Errorf("the source %s cannot be written to; keep the value in a KV engine of version 2 in Vault", ref.Source))
	}
	ctx, done, err := r.begin(ctx, r.options.Timeout)
	if err != nil {
		return err
	}
	defer done()
	path, params, err := v.fill(ref)
	if err != nil {
		return fail(err)
	}
	if params != nil {
		return fail(errors.New("a reference with parameters, such as to a fixed version, cannot be written to"))
	}
	m, err := r.mountOf(ctx, path)
	if err != nil {
		return fail(err)
	}
	if m.version != 2 {
		return fail(fmt.Errorf("%s is an engine of the kind %s; only KV version 2 can check that nobody else writes at the same time", m.path, m))
	}
	for range replaceTries {
		got, err := r.readKV(ctx, m, path, nil)
		if err != nil {
			return fail(err)
		}
		if got.fields[ref.Field].Kind() != '"' {
			return fail(errors.New("the field is not a text of the secret's own"))
		}
		switch stored, err := got.field(path, ref.Field); {
		case err != nil:
			return fail(err)
		case stored == value:
			return nil
		case stored != old:
			return fail(ErrChanged)
		}
		if got.fields[ref.Field], err = json.Marshal(value); err != nil {
			return fail(errors.New("the new value is not text"))
		}
		if again, err := r.writeKV(ctx, m, path, got); !again {
			if err != nil {
				return fail(err)
			}
			return nil
		}
	}
	return fail(errors.New("others write to the same secret all the time"))
}

// writeKV writes a secret as the version after the one that was read. It reports whether
// another version has come in between.
func (r *Resolver) writeKV(ctx context.Context, m mount, path string, next *reading) (again bool, err error) {
	type options struct {
		CAS int `json:"cas"`
	}
	body, err := json.Marshal(struct {
		Options options                   `json:"options"`
		Data    map[string]jsontext.Value `json:"data"`
	}{options{next.version}, next.fields}, json.Deterministic(true))
	if err != nil {
		return false, badReply(path)
	}
	at := m.path + "data/" + strings.TrimPrefix(path, m.path)
	client, _, err := r.ask(ctx, func(c *api.Client) (*api.Response, error) {
		return c.Logical().WriteRawWithContext(ctx, at, body)
	})
	var refused *api.ResponseError
	switch {
	case err == nil || isDown(err):
		return false, err
	case errors.As(err, &refused) && refused.StatusCode == http.StatusBadRequest && strings.Contains(strings.Join(refused.Errors, " "), "check-and-set"):
		return true, nil
	}
	return false, r.explain(ctx, client, "writing "+path, "update", err)
}
