// Package challenge holds the interface of a challenge's provider.
package challenge

// Provider answers a challenge.
type Provider interface {
	Present(domain, token, keyAuth string) error
	CleanUp(domain, token, keyAuth string) error
}
