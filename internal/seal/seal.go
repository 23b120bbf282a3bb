// Package seal makes the tokens that leave the firewall and come back: request states,
// cursors and task ids. A token is encrypted and authenticated, expires, and opens only
// for the kind and binding (principal, session, server, parameters) it was made for, so
// what a client hands back is what it was given, where it was given it.
//
//	t := box.Seal("cursor", sessionID, payload, time.Hour)
//	payload, err := box.Open("cursor", sessionID, t)
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// Errors of Open and OpenOnce.
var (
	ErrInvalid = errors.New("the token was not issued here for this use")
	ErrExpired = errors.New("the token has expired")
	ErrUsed    = errors.New("the token was used before")
)

// Box seals and opens tokens with a key of its own that is never stored: tokens do not
// outlive the Box.
type Box struct {
	aead cipher.AEAD

	mu    sync.Mutex
	used  map[string]time.Time // nonces of tokens spent by OpenOnce, with their expiry
	sweep time.Time
}

// New returns a Box with a fresh random key (AES-256-GCM with random nonces).
func New() *Box {
	key := make([]byte, 32)
	rand.Read(key) // never fails, see crypto/rand
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has a valid size
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return &Box{aead: aead, used: map[string]time.Time{}}
}

// Seal returns a token that holds payload until ttl has passed.
func (b *Box) Seal(kind, binding string, payload []byte, ttl time.Duration) string {
	plain := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint64(plain, uint64(time.Now().Add(ttl).UnixNano()))
	return base64.RawURLEncoding.EncodeToString(b.aead.Seal(nil, nil, append(plain, payload...), aad(kind, binding)))
}

// Open returns the payload of a token that was sealed for the same kind and binding.
func (b *Box) Open(kind, binding, token string) ([]byte, error) {
	payload, _, _, err := b.open(kind, binding, token)
	return payload, err
}

// OpenOnce is Open for a token that works only once: of several calls, one succeeds.
func (b *Box) OpenOnce(kind, binding, token string) ([]byte, error) {
	payload, sealed, expires, err := b.open(kind, binding, token)
	if err != nil {
		return nil, err
	}
	nonce := string(sealed[:12])
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.After(b.sweep) {
		for n, t := range b.used {
			if now.After(t) {
				delete(b.used, n)
			}
		}
		b.sweep = now.Add(time.Minute)
	}
	if _, spent := b.used[nonce]; spent {
		return nil, ErrUsed
	}
	b.used[nonce] = expires
	return payload, nil
}

func (b *Box) open(kind, binding, token string) (payload, sealed []byte, expires time.Time, err error) {
	// Strict, so that one token has one spelling.
	sealed, err = base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, nil, expires, ErrInvalid
	}
	plain, err := b.aead.Open(nil, nil, sealed, aad(kind, binding))
	if err != nil || len(plain) < 8 {
		return nil, nil, expires, ErrInvalid
	}
	expires = time.Unix(0, int64(binary.BigEndian.Uint64(plain)))
	if time.Now().After(expires) {
		return nil, nil, expires, ErrExpired
	}
	return plain[8:], sealed, expires, nil
}

func aad(kind, binding string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(kind)))
	return append(append(b, kind...), binding...)
}
