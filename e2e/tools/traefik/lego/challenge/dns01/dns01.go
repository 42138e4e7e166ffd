// Package dns01 is what Traefik names of the DNS challenge.
package dns01

import (
	"strings"
	"time"
)

// ChallengeOption changes how a challenge is waited for.
type ChallengeOption func()

// AddRecursiveNameservers has no effect.
func AddRecursiveNameservers([]string) ChallengeOption { return func() {} }

// RecursiveNSsPropagationRequirement has no effect.
func RecursiveNSsPropagationRequirement() ChallengeOption { return func() {} }

// DisableAuthoritativeNssPropagationRequirement has no effect.
func DisableAuthoritativeNssPropagationRequirement() ChallengeOption { return func() {} }

// PropagationWait has no effect.
func PropagationWait(time.Duration, bool) ChallengeOption { return func() {} }

// UnFqdn drops the dot that a full domain name ends with.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
