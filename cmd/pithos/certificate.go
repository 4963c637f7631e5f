package main

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"github.com/pithos/pithos/config"
)

// certificate is the listener's, with the oldest version of TLS that is
// spoken. Both may change while it listens; connections that are there keep
// what they were made with.
type certificate struct {
	current atomic.Pointer[tls.Config]
}

// load reads the certificate again. After an error the old one stays in use.
func (c *certificate) load(cfg config.ServiceTLS) error {
	pair, err := tls.LoadX509KeyPair(cfg.Certificate, cfg.Key)
	if err != nil {
		return fmt.Errorf("service.tls: %w", err)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	if cfg.MinVersion == "1.3" {
		t.MinVersion = tls.VersionTLS13
	}
	c.current.Store(t)
	return nil
}

// serverTLS loads the listener's certificate; nil where there is none.
func serverTLS(cfg config.ServiceTLS) (*tls.Config, *certificate, error) {
	if !cfg.Enabled() {
		return nil, nil, nil
	}
	c := &certificate{}
	if err := c.load(cfg); err != nil {
		return nil, nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // what holds is in the other one
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.current.Load(), nil
		},
		// net/http wants to see one of these.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &c.current.Load().Certificates[0], nil
		},
	}, c, nil
}
