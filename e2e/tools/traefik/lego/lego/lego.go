// Package lego stands where the ACME client is in a full build.
package lego

import (
	"crypto/x509"
	"errors"
	"net/http"

	"github.com/go-acme/lego/v4/certcrypto"
	"github.com/go-acme/lego/v4/certificate"
	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/go-acme/lego/v4/challenge/http01"
	"github.com/go-acme/lego/v4/challenge/tlsalpn01"
	"github.com/go-acme/lego/v4/registration"
)

// LEDirectoryProduction names no server: there is no client to ask one.
const LEDirectoryProduction = ""

var errNoClient = errors.New("this build has no ACME client")

// Config is a client's configuration.
type Config struct {
	CADirURL    string
	UserAgent   string
	HTTPClient  *http.Client
	Certificate CertificateConfig
}

// CertificateConfig says what certificates to ask for.
type CertificateConfig struct {
	KeyType           certcrypto.KeyType
	DisableCommonName bool
}

// NewConfig returns an empty configuration.
func NewConfig(any) *Config { return &Config{} }

// Client is what NewClient would return.
type Client struct {
	Certificate  certifier
	Challenge    solvers
	Registration registrar
}

// NewClient always fails.
func NewClient(*Config) (*Client, error) { return nil, errNoClient }

// CreateCertPool always fails.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, errNoClient }

type certifier struct{}

func (certifier) Obtain(certificate.ObtainRequest) (*certificate.Resource, error) {
	return nil, errNoClient
}

func (certifier) RenewWithOptions(certificate.Resource, *certificate.RenewOptions) (*certificate.Resource, error) {
	return nil, errNoClient
}

type solvers struct{}

func (solvers) SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error {
	return errNoClient
}

func (solvers) SetHTTP01Provider(challenge.Provider, ...http01.ChallengeOption) error {
	return errNoClient
}

func (solvers) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.ChallengeOption) error {
	return errNoClient
}

type registrar struct{}

func (registrar) Register(registration.RegisterOptions) (*registration.Resource, error) {
	return nil, errNoClient
}

func (registrar) RegisterWithExternalAccountBinding(registration.RegisterEABOptions) (*registration.Resource, error) {
	return nil, errNoClient
}
