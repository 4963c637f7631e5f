//go:build unix

package cassandratest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/freeport"
)

// Secured is a server that speaks TLS, wants a certificate of its clients, and
// knows users by their passwords. All files are in PEM form.
type Secured struct {
	Cluster
	CA        string // whom its certificate is signed by
	Cert, Key string // of a client it trusts
	// OtherCert and OtherKey are of a client, and OtherCA an authority, that
	// have nothing to do with it.
	OtherCA, OtherCert, OtherKey string
}

// The superuser that a new cluster has.
const (
	Superuser         = "cassandra"
	SuperuserPassword = "cassandra"
)

// StartSecured starts a server that the test has to itself, on 127.0.0.1.
func StartSecured(t testing.TB) *Secured {
	t.Helper()
	notShort(t)
	ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
	defer cancel()
	rt, err := resolveJava(ctx)
	if errors.Is(err, errNoJava) {
		giveUp(t, &unavailableError{"a server of the test's own needs Java: " + err.Error()})
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, server := certificates(t, dir)
	ports, err := freeport.Find(2, loopback)
	if err != nil {
		t.Fatal(err)
	}
	s.Cluster = Cluster{Hosts: []string{loopback}, Port: ports[0], ownedByTest: true}
	r := &Ring{Cluster: s.Cluster}
	r.startNode(t, rt, nodeConfig{
		Address: loopback, Seed: loopback, Port: ports[0], StoragePort: ports[1],
		HeapMiB: 512, MemtableMiB: 48, Dir: filepath.Join(dir, "node"),
		More: fmt.Sprintf(securedYAML, server, s.CA), access: s.access,
	})
	return s
}

// securedYAML takes the server's key with its certificate, and the authority
// of its clients.
const securedYAML = `
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: true
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: %s
  truststore: %s
`

// access lets the superuser in.
func (s *Secured) access(c *gocql.ClusterConfig) {
	c.Authenticator = gocql.PasswordAuthenticator{Username: Superuser, Password: SuperuserPassword}
	c.SslOpts = &gocql.SslOptions{CaPath: s.CA, CertPath: s.Cert, KeyPath: s.Key, EnableHostVerification: true}
}

// Session returns a session of the superuser's, closed when the test ends.
func (s *Secured) Session(t testing.TB) *gocql.Session {
	t.Helper()
	session, err := connect(s.Hosts, s.Port, "", s.access)
	if err != nil {
		t.Fatalf("cassandratest: connect to %v: %v", s.Addrs(), err)
	}
	t.Cleanup(session.Close)
	return session
}

// certificates writes what server and clients need into dir, and returns the
// file of the server's.
func certificates(t testing.TB, dir string) (s *Secured, server string) {
	t.Helper()
	file := func(name string) string { return filepath.Join(dir, name) }
	s = &Secured{CA: file("ca.pem"), Cert: file("client.pem"), Key: file("client.key"),
		OtherCA: file("other-ca.pem"), OtherCert: file("other.pem"), OtherKey: file("other.key")}
	ours, others := newAuthority(t), newAuthority(t)
	write(t, s.CA, ours.certificate)
	write(t, s.OtherCA, others.certificate)
	cert, key := ours.issue(t)
	write(t, s.Cert, cert)
	write(t, s.Key, key)
	cert, key = others.issue(t)
	write(t, s.OtherCert, cert)
	write(t, s.OtherKey, key)
	cert, key = ours.issue(t)
	write(t, file("server.pem"), key, cert, ours.certificate)
	return s, file("server.pem")
}

func write(t testing.TB, file string, parts ...[]byte) {
	t.Helper()
	if err := os.WriteFile(file, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

// authority signs certificates. What it holds is in PEM form, but for the key.
type authority struct {
	certificate []byte
	template    *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{template: unsigned(t)}
	a.template.IsCA, a.template.BasicConstraintsValid = true, true
	a.template.KeyUsage = x509.KeyUsageCertSign
	a.certificate, a.key = sign(t, a.template, nil)
	return a
}

// issue makes a certificate for 127.0.0.1, which does for a client too.
func (a *authority) issue(t testing.TB) (cert, key []byte) {
	t.Helper()
	c := unsigned(t)
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	c.IPAddresses = []net.IP{net.ParseIP(loopback)}
	cert, private := sign(t, c, a)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func unsigned(t testing.TB) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "pithos test " + serial.String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// sign makes a key and its certificate, signed by itself without an authority.
func sign(t testing.TB, c *x509.Certificate, by *authority) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.template, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key
}
