package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/hashicorp/vault/api"
)

// readKV reads a secret of a KV engine. The parameter version names a version of
// it; without one it is the latest.
func (r *Resolver) readKV(ctx context.Context, m mount, path string, params map[string][]string) (*reading, error) {
	fixed, err := fixedVersion(m, params)
	if err != nil {
		return nil, err
	}
	at, query := path, map[string][]string(nil)
	if m.version == 2 {
		at = m.path + "data/" + strings.TrimPrefix(path, m.path)
	}
	if fixed != 0 {
		query = map[string][]string{"version": {strconv.Itoa(fixed)}}
	}
	// The body of a 404 says whether a version was deleted, so it is read too.
	client, body, err := r.ask(ctx, func(c *api.Client) (*api.Response, error) {
		return c.Logical().ReadRawWithDataWithContext(ctx, at, query)
	})
	switch {
	case isDown(err):
		return nil, err
	case status(err) == http.StatusNotFound:
		return nil, notFound(path, m, fixed, body)
	case err != nil:
		return nil, r.explain(ctx, client, "reading "+path, "read", err)
	}
	var v1 reply
	if err := unmarshal(body, &v1); err != nil {
		return nil, badReply(path)
	}
	got := &reading{mount: m, changes: polled}
	data := v1.Data
	if m.version == 2 {
		var v2 struct {
			Data     jsontext.Value `json:"data"`
			Metadata struct {
				Created time.Time `json:"created_time"`
				Version int       `json:"version"`
			} `json:"metadata"`
		}
		if err := unmarshal(data, &v2); err != nil {
			return nil, badReply(path)
		}
		data, got.version, got.written = v2.Data, v2.Metadata.Version, v2.Metadata.Created
	}
	if fixed != 0 {
		got.changes = never
		if got.version != fixed {
			return nil, badReply(path)
		}
	}
	if got.fields, err = fieldsOf(data); err != nil {
		return nil, badReply(path)
	}
	return got, nil
}

// fixedVersion returns the version that the parameters name, or 0.
func fixedVersion(m mount, params map[string][]string) (int, error) {
	for name := range params {
		if name != "version" {
			return 0, fmt.Errorf("%s is a KV engine, for which the only parameter is version, not %q", m.path, name)
		}
	}
	values := params["version"]
	if len(values) == 0 {
		return 0, nil
	}
	n, err := strconv.Atoi(values[0])
	switch {
	case err != nil || n < 1 || len(values) > 1:
		return 0, errors.New("the version of a secret is one number from 1 on")
	case m.version == 1:
		return 0, fmt.Errorf("%s is a KV engine of version 1, which keeps no versions of its secrets", m.path)
	}
	return n, nil
}

// latest returns the latest version of a secret in KV version 2, and known false
// where only the secret itself may be read, not what is known about it.
func (r *Resolver) latest(ctx context.Context, m mount, path string) (version int, known bool, err error) {
	at := m.path + "metadata/" + strings.TrimPrefix(path, m.path)
	client, body, err := r.ask(ctx, func(c *api.Client) (*api.Response, error) {
		return c.Logical().ReadRawWithContext(ctx, at)
	})
	switch {
	case isDown(err):
		return 0, false, err
	case status(err) == http.StatusForbidden:
		return 0, false, nil
	case status(err) == http.StatusNotFound:
		return 0, false, notFound(path, m, 0, nil)
	case err != nil:
		return 0, false, r.explain(ctx, client, "looking at "+path, "read", err)
	}
	var got struct {
		Data struct {
			Current  int `json:"current_version"`
			Versions map[string]struct {
				DeletionTime string `json:"deletion_time"` // may lie ahead
				Destroyed    bool   `json:"destroyed"`
			} `json:"versions"`
		} `json:"data"`
	}
	if err := unmarshal(body, &got); err != nil || got.Data.Current < 1 {
		return 0, false, badReply(path)
	}
	switch meta := got.Data.Versions[strconv.Itoa(got.Data.Current)]; {
	case meta.Destroyed:
		return 0, false, fmt.Errorf("version %d of %s, the latest, was destroyed", got.Data.Current, path)
	case meta.DeletionTime != "":
		if when, err := time.Parse(time.RFC3339Nano, meta.DeletionTime); err != nil || when.Before(time.Now()) {
			return 0, false, fmt.Errorf("version %d of %s, the latest, was deleted at %s", got.Data.Current, path, meta.DeletionTime)
		}
	}
	return got.Data.Current, true, nil
}

// notFound explains a 404 for a secret, or for one version of it.
func notFound(path string, m mount, fixed int, body []byte) error {
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
		which, instead := "the latest, ", "store a new one"
		if fixed != 0 {
			which, instead = "", "name another"
		}
		switch meta := reply.Data.Metadata; {
		case meta.Destroyed:
			return fmt.Errorf("version %d of %s, %swas destroyed; %s", meta.Version, path, which, instead)
		case meta.DeletionTime != "":
			return fmt.Errorf("version %d of %s, %swas deleted at %s; undelete it with `vault kv undelete`, or %s",
				meta.Version, path, which, meta.DeletionTime, instead)
		}
		if rest, ok := strings.CutPrefix(path, m.path+"data/"); ok {
			return fmt.Errorf("there is no secret at %s; the path is given without data/, did you mean %s%s?", path, m.path, rest)
		}
	}
	if fixed != 0 {
		return fmt.Errorf("there is no version %d of a secret at %s; see `vault kv metadata get %s`", fixed, path, path)
	}
	return fmt.Errorf("there is no secret at %s in the KV engine %s (version %d); check the path with `vault kv list %s`", path, m.path, m.version, m.path)
}

func badReply(path string) error {
	return fmt.Errorf("the reply for %s is not what a secret engine sends; check that the address is that of a Vault server", path)
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
