package vault

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/api"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// unwrapped is what came out of the last wrapping token, which works only once.
type unwrapped struct {
	token    string // the wrapping token
	secretID string // "" if the request was cut off
}

// unwrap returns the secret id in a wrapping token. One that was unwrapped before
// is remembered.
//
// That the token can be used once shows whether somebody else used it. One that
// used it and put another in its place shows by the path that the new one was
// created at: only Vault itself wraps the reply of a role's secret-id
// (https://developer.hashicorp.com/vault/docs/concepts/response-wrapping).
func (r *Resolver) unwrap(ctx context.Context, client *api.Client, token string) (string, error) {
	l := &r.logins
	l.mu.Lock()
	before := l.unwrapped
	l.mu.Unlock()
	if before.token == token && before.secretID != "" {
		return before.secretID, nil
	}

	const looking = "looking up the wrapping token of the secret id"
	info, err := client.Logical().WriteWithContext(ctx, "sys/wrapping/lookup", map[string]any{"token": token})
	if err != nil {
		return "", r.unwrapFailed(looking, before.token == token, err)
	}
	var path string
	if info != nil {
		path, _ = info.Data["creation_path"].(string)
	}
	if err := r.options.Auth.checkWrapped(path, client.Namespace()); err != nil {
		return "", err
	}

	l.mu.Lock()
	l.unwrapped = unwrapped{token: token}
	l.mu.Unlock()
	const unwrapping = "unwrapping the secret id"
	with := client.WithNamespace(client.Namespace())
	with.SetToken(token)
	reply, err := with.Logical().WriteWithContext(ctx, "sys/wrapping/unwrap", nil)
	if err != nil {
		return "", r.unwrapFailed(unwrapping, false, err)
	}
	var secretID string
	if reply != nil {
		secretID, _ = reply.Data["secret_id"].(string)
	}
	if secretID == "" {
		return "", &loginError{refused: true, text: unwrapping + ": the wrapping token holds no secret id; make it with `vault write -wrap-ttl=5m -f " +
			"auth/" + r.options.Auth.mount() + "/role/ROLE/secret-id`"}
	}
	l.know("vault secret id", secretID)
	l.mu.Lock()
	l.unwrapped.secretID = secretID
	l.mu.Unlock()
	return secretID, nil
}

// checkWrapped says whether a wrapping token that was created at path can hold a
// secret id that Vault made.
func (a Auth) checkWrapped(path, namespace string) error {
	at := strings.Trim(path, "/")
	if ns := strings.Trim(namespace, "/"); ns != "" {
		at = strings.TrimPrefix(at, ns+"/")
	}
	role, ok := strings.CutPrefix(at, "auth/"+a.mount()+"/role/")
	if ok {
		role, ok = strings.CutSuffix(role, "/secret-id")
	}
	if ok && role != "" && !strings.Contains(role, "/") && (a.Role == "" || strings.EqualFold(a.Role, role)) {
		return nil
	}
	want := "auth/" + a.mount() + "/role/" + a.Role + "/secret-id"
	if a.Role == "" {
		want = "auth/" + a.mount() + "/role/ROLE/secret-id"
	}
	return &loginError{refused: true, text: fmt.Sprintf("the wrapping token of the secret id was created at %q and not at %s: "+
		"somebody may have unwrapped the real one and put another in its place; it was not unwrapped. "+
		"Find out who delivered it, destroy the role's secret ids, and deliver a new one", visible.Cut(path, maxQuoted), want)}
}

// unwrapFailed explains why a wrapping token does not work. With cut, it was we
// who used it, and the reply was lost.
func (r *Resolver) unwrapFailed(doing string, cut bool, err error) error {
	switch code := status(err); {
	case code != http.StatusBadRequest && code != http.StatusForbidden && code != http.StatusNotFound:
		return r.loginFailed(doing, err)
	case cut:
		return &loginError{refused: true, text: doing + ": Vault knows it no more; the connection was cut while it was unwrapped, " +
			"so the secret id is lost: destroy it, and deliver a new one"}
	default:
		return &loginError{refused: true, text: doing + ": the wrapping token was already used, or it has expired. " +
			"If nobody of yours used it, somebody else has read the secret id: destroy the role's secret ids; in any case deliver a new one"}
	}
}
