package vault

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"
)

// downError says that Vault as a whole cannot be used now, so that nothing more
// need be asked of it.
type downError struct{ error }

func (e *downError) Unwrap() error { return e.error }

// explain turns the error of a request into one that says what to do. The
// capability is what a policy must have for the request.
func (r *Resolver) explain(ctx context.Context, client *api.Client, doing, capability string, err error) error {
	const again = "it is tried again"
	down := func(format string, args ...any) error { return &downError{fmt.Errorf(format, args...)} }
	address := client.Address()
	var moved *redirectError
	var unknownAuthority x509.UnknownAuthorityError
	var badName x509.HostnameError
	var badCertificate x509.CertificateInvalidError
	switch code := status(err); {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s was cancelled: %w", doing, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || isTimeout(err):
		return down("the Vault server at %s gave no answer within the time limit of %v; check that it is well, %s: %w",
			address, r.options.Timeout, again, context.DeadlineExceeded)
	case errors.As(err, &moved):
		return down("the address of Vault, %s, is not the server's own: %w; set the address to the active server's", address, moved)
	case errors.Is(err, errTooLarge):
		return fmt.Errorf("%s: %w; is %s a Vault server?", doing, errTooLarge, address)
	case errors.As(err, &unknownAuthority) || errors.As(err, &badName) || errors.As(err, &badCertificate):
		return down("the certificate of Vault at %s is not trusted: %w; name its authority in VAULT_CACERT or in the configuration", address, err)
	case code == 0:
		return down("the Vault server at %s cannot be reached: %s; check the address and that it runs, %s", address, r.hide(innermost(err)), again)
	case code == http.StatusServiceUnavailable:
		return down("the Vault server at %s is sealed or not ready (503); unseal it, %s", address, again)
	case code == http.StatusForbidden:
		return fmt.Errorf("%s: Vault denies it (403); give the token's policy the capability %s there, or log in again if the token has expired", doing, capability)
	case code == http.StatusTooManyRequests:
		return fmt.Errorf("%s: Vault's rate limit is used up (429); %s", doing, again)
	default:
		return fmt.Errorf("%s: Vault answered %d%s", doing, code, r.reasons(err))
	}
}

// isDown reports whether an error says that Vault as a whole cannot be used.
func isDown(err error) bool {
	var down *downError
	return errors.As(err, &down)
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
