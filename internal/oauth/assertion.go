package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionLife is how long an assertion may be used: its request is under way at once.
const assertionLife = time.Minute

// assert returns the JWT by which a client with a key proves itself: RFC 7523, sections 2.2
// and 3. The errors of the libraries could quote the key and are not passed on.
func assert(key, client, audience string, now time.Time) (string, error) {
	signer, algorithm, err := parseKey(key)
	if err != nil {
		return "", err
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: signer}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", errors.New("the private_key cannot sign")
	}
	text, err := jwt.Signed(s).Claims(jwt.Claims{
		Issuer: client, Subject: client, Audience: jwt.Audience{audience}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
	}).Serialize()
	if err != nil {
		return "", errors.New("the private_key cannot sign")
	}
	return text, nil
}

// parseKey reads a private key and says by which algorithm of RFC 7518 or 8037 it signs.
func parseKey(text string) (crypto.Signer, jose.SignatureAlgorithm, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, "", errors.New("the private_key is not in PEM form")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, "", errors.New("the private_key is not an unencrypted private key")
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k, jose.RS256, nil
	case ed25519.PrivateKey:
		return k, jose.EdDSA, nil
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256():
			return k, jose.ES256, nil
		case elliptic.P384():
			return k, jose.ES384, nil
		case elliptic.P521():
			return k, jose.ES512, nil
		}
	}
	return nil, "", errors.New("the private_key is of a kind that does not sign JWTs: use RSA, EC (P-256, P-384, P-521) or Ed25519")
}
