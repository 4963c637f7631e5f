package main

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"github.com/pithos/pithos/config"
)

// certificate is the listener's, which may change while it listens.
// Connections that are there keep the one they were made with.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// load reads the certificate anew. After an error the one before goes on.
func (c *certificate) load(cfg config.ServiceTLS) error {
	pair, err := tls.LoadX509KeyPair(cfg.Certificate, cfg.Key)
	if err != nil {
		return fmt.Errorf("service.tls: %w", err)
	}
	c.current.Store(&pair)
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
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.MinVersion == "1.3" {
		t.MinVersion = tls.VersionTLS13
	}
	t.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }
	return t, c, nil
}
