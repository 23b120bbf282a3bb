package vault

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/vault/api"
	"github.com/mcpfirewall/mcpfirewall/internal/visible"
)

// logging begins the errors of logins.
const logging = "logging in with "

// loginError is why there is no login. Its text is fit to be shown.
type loginError struct {
	text    string
	passing bool // the same may work later
	refused bool // Vault answered, and would answer the same again
	cause   error
}

func (e *loginError) Error() string { return e.text }
func (e *loginError) Unwrap() error { return e.cause }

// loginFailed turns the error of a request that is part of a login into one that
// says what to do.
func (r *Resolver) loginFailed(doing string, err error) *loginError {
	address := r.logins.address()
	var moved *redirectError
	var unknownAuthority x509.UnknownAuthorityError
	var badName x509.HostnameError
	var badCertificate x509.CertificateInvalidError
	var transport *url.Error
	reasons := r.reasons(err)
	switch code := status(err); {
	case errors.Is(err, context.Canceled):
		return &loginError{text: doing + " was cancelled", cause: context.Canceled}
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return r.noAnswer(doing)
	case errors.As(err, &moved):
		return &loginError{text: fmt.Sprintf("the address of Vault, %s, is not the server's own: %v; set the address to the active server's", address, moved)}
	case errors.Is(err, errTooLarge):
		return &loginError{text: fmt.Sprintf("%s: %v; is %s a Vault server?", doing, errTooLarge, address)}
	case errors.As(err, &unknownAuthority) || errors.As(err, &badName) || errors.As(err, &badCertificate):
		return &loginError{text: fmt.Sprintf("the certificate of Vault at %s is not trusted: %s; name its authority as vault.ca_cert or in VAULT_CACERT",
			address, r.hide(innermost(err)))}
	case code == 0 && errors.As(err, &transport):
		return &loginError{passing: true, text: fmt.Sprintf("the Vault server at %s cannot be reached: %s; check the address and that it runs",
			address, r.hide(innermost(err)))}
	case code == 0:
		// What could not be read is not repeated.
		return &loginError{text: fmt.Sprintf("%s: the reply is not one of Vault's; check that %s is a Vault server", doing, address)}
	case code == http.StatusServiceUnavailable:
		return &loginError{passing: true, text: fmt.Sprintf("the Vault server at %s is sealed or not ready (503); unseal it", address)}
	case code == http.StatusTooManyRequests:
		return &loginError{passing: true, text: doing + ": Vault's rate limit is used up (429)"}
	case code == http.StatusPreconditionFailed || code >= 500 && !(code == http.StatusInternalServerError && strings.HasPrefix(doing, logging)):
		// To a login, Vault 1.14 answers 500 to a wrong secret id or password.
		return &loginError{passing: true, text: fmt.Sprintf("%s: Vault failed (%d)%s", doing, code, reasons)}
	case code == http.StatusNotFound:
		return &loginError{refused: true, text: fmt.Sprintf("%s: there is no such auth method (404)%s; check vault.auth.mount and the namespace", doing, reasons)}
	default:
		return &loginError{refused: true, text: fmt.Sprintf("%s: Vault refuses it (%d)%s; %s", doing, code, reasons, r.options.Auth.advice())}
	}
}

// noAnswer says that Vault took too long.
func (r *Resolver) noAnswer(doing string) *loginError {
	return &loginError{passing: true, cause: context.DeadlineExceeded,
		text: fmt.Sprintf("%s: the Vault server at %s gave no answer in time; check that it is well", doing, r.logins.address())}
}

// advice says what to look at when Vault refuses a login.
func (a Auth) advice() string {
	switch a.Method {
	case MethodAppRole:
		return "check role_id, and whether the secret id is the role's and not expired, used up or destroyed; then deliver a new one. " +
			"Too many failures lock the role out for a while"
	case MethodKubernetes:
		return "check that the role is bound to this pod's service account and namespace, and to the token's audience"
	case MethodJWT:
		return "check that the JWT is not expired, and that the role is bound to its audience, subject and claims"
	case MethodCert:
		return "check that client_cert is signed by an authority that a role of the method trusts, and not expired"
	case MethodUserpass:
		return "check the user name and the password; too many failures lock the user out for a while"
	}
	return "check that the token is valid"
}

// innermost returns the text of the innermost error. The outer ones repeat the
// method and URL.
func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// reasons returns what Vault's reply said to an error, without secrets.
func (r *Resolver) reasons(err error) string {
	text := replied(err)
	if text == "" {
		return ""
	}
	return ": " + r.hide(text)
}

// maxQuoted bounds what an error quotes.
const maxQuoted = 200

// hide makes a text that others wrote fit for an error: one short line, in which
// nothing stands that a login was made with, not even a part of some length.
func (r *Resolver) hide(text string) string {
	const most = 4096 // looked at
	text = strings.Join(strings.Fields(text[:min(len(text), most)]), " ")
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return utf8.RuneError
		}
		return c
	}, text)
	for _, s := range r.loginSecrets() {
		text = withoutParts(text, s.Value)
	}
	return visible.Cut(text, maxQuoted)
}

// withoutParts replaces what of secret stands in text. A part shorter than
// telling is not one, unless it is the whole secret.
func withoutParts(text, secret string) string {
	const telling = 10
	n := min(telling, len(secret))
	if n == 0 {
		return text
	}
	parts := map[string]bool{}
	for i := 0; i+n <= len(secret); i++ {
		parts[secret[i:i+n]] = true
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		end := i
		for j := i; j <= end && j+n <= len(text); j++ {
			if parts[text[j:j+n]] {
				end = j + n
			}
		}
		if end > i {
			out.WriteString("(secret)")
			i = end
			continue
		}
		out.WriteByte(text[i])
		i++
	}
	return out.String()
}

// replied returns what Vault's reply said to an error, as it said it.
func replied(err error) string {
	var reply *api.ResponseError
	if !errors.As(err, &reply) || reply.RawError {
		return ""
	}
	return strings.Join(reply.Errors, "; ")
}
