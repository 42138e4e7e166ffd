// Package registration holds what an ACME account is registered with.
package registration

// Resource is a registered account.
type Resource struct {
	URI string
}

// RegisterOptions registers an account.
type RegisterOptions struct {
	TermsOfServiceAgreed bool
}

// RegisterEABOptions registers an account that the server knows already.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid                  string
	HmacEncoded          string
}
