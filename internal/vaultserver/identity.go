package vaultserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
)

// Issuer signs JWTs (RFC 7519, ES256), as an identity provider does, or the API
// server of Kubernetes for service accounts.
type Issuer struct {
	PublicKey string // PEM, for the auth method's configuration

	key *ecdsa.PrivateKey
}

// NewIssuer makes an issuer with a key of its own.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &Issuer{PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), key: key}
}

// Sign returns a JWT with the claims.
func (i *Issuer) Sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TokenReview stands in for the API server of Kubernetes, which the auth method
// kubernetes asks whose token it was given
// (https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/).
type TokenReview struct {
	URL string

	mu   sync.Mutex
	uids map[string]account // by token
}

type account struct{ namespace, name, uid string }

// NewTokenReview starts a stand-in that knows no token yet.
func NewTokenReview(t testing.TB) *TokenReview {
	t.Helper()
	k := &TokenReview{uids: map[string]account{}}
	srv := httptest.NewServer(k)
	t.Cleanup(srv.Close)
	k.URL = srv.URL
	return k
}

// Know makes the token that of a service account.
func (k *TokenReview) Know(token, namespace, name, uid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.uids[token] = account{namespace, name, uid}
}

// ServeHTTP answers a review.
func (k *TokenReview) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var review struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			Token     string   `json:"token"`
			Audiences []string `json:"audiences,omitempty"`
		} `json:"spec"`
		Status struct {
			Authenticated bool     `json:"authenticated"`
			Audiences     []string `json:"audiences,omitempty"`
			Error         string   `json:"error,omitempty"`
			User          struct {
				Username string   `json:"username"`
				UID      string   `json:"uid"`
				Groups   []string `json:"groups"`
			} `json:"user"`
		} `json:"status"`
	}
	if req.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || json.UnmarshalRead(req.Body, &review, json.RejectUnknownMembers(false)) != nil {
		http.NotFound(w, req)
		return
	}
	k.mu.Lock()
	a, ok := k.uids[review.Spec.Token]
	k.mu.Unlock()
	if ok {
		review.Status.Authenticated = true
		review.Status.Audiences = review.Spec.Audiences // as every version does that knows of audiences
		review.Status.User.Username = "system:serviceaccount:" + a.namespace + ":" + a.name
		review.Status.User.UID = a.uid
		review.Status.User.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:" + a.namespace}
	} else {
		review.Status.Error = "token is not known"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	// The connection may be gone; the test then fails by what it waits for.
	_ = json.MarshalWrite(w, review)
}
