// Package tlsalpn01 is what Traefik names of the TLS challenge.
package tlsalpn01

import (
	"errors"
	"time"
)

// ACMETLS1Protocol is the challenge's ALPN protocol (RFC 8737).
const ACMETLS1Protocol = "acme-tls/1"

// ChallengeOption changes how a challenge is waited for.
type ChallengeOption func()

// SetDelay has no effect.
func SetDelay(time.Duration) ChallengeOption { return func() {} }

// ChallengeBlocks always fails: this build has no ACME client.
func ChallengeBlocks(string, string) (certificate, key []byte, err error) {
	return nil, nil, errors.New("this build has no ACME client")
}
