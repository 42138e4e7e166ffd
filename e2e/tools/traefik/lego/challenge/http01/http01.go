// Package http01 is what Traefik names of the HTTP challenge.
package http01

import "time"

// ChallengeOption changes how a challenge is waited for.
type ChallengeOption func()

// SetDelay has no effect.
func SetDelay(time.Duration) ChallengeOption { return func() {} }

// ChallengePath is where a challenge's answer is asked for.
func ChallengePath(token string) string { return "/.well-known/acme-challenge/" + token }
