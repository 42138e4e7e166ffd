// Package certificate holds what a certificate is asked for with.
package certificate

// Resource is a certificate and its key.
type Resource struct {
	Domain      string
	PrivateKey  []byte
	Certificate []byte
}

// ObtainRequest asks for a certificate.
type ObtainRequest struct {
	Domains        []string
	Bundle         bool
	EmailAddresses []string
	Profile        string
	PreferredChain string
}

// RenewOptions asks for a certificate again.
type RenewOptions struct {
	Bundle         bool
	EmailAddresses []string
	Profile        string
	PreferredChain string
}
