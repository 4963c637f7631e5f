// Package cassandra opens sessions to Apache Cassandra as Pithos needs them.
//
// Requests go to a replica in the local datacenter only: a coordinator in another
// datacenter would take that for the local one, and decide conditional writes among
// the wrong replicas. The driver does not retry statements: only a caller knows what
// may be repeated. But a slow idempotent read is also sent to a second node.
//
// A session survives an outage of its cluster: requests fail during the outage, and
// succeed again within seconds after it. A node that hangs is detected and used last,
// and its connections are closed, so that the requests waiting there fail.
package cassandra

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"
)

// Defaults of a [Config]'s empty fields.
const (
	DefaultPort           = 9042
	DefaultConnectTimeout = 5 * time.Second
	DefaultTimeout        = 10 * time.Second
	DefaultConnections    = 2
)

// Config says how to reach a cluster. The zero value of each field except Hosts has
// a meaning.
type Config struct {
	// Hosts are the contact points, each a host or host:port. A name stands for
	// all its addresses. The other nodes are discovered through them.
	Hosts []string
	// Port of all nodes, and of contact points without one; 0: that of the
	// first contact point that has one, else 9042.
	Port int
	// Keyspace that unqualified statements use; it must exist. May be empty.
	Keyspace string

	Username, Password string

	// Datacenter is the local one; empty: that of the first node that answers.
	Datacenter string
	// Consistency is LOCAL_QUORUM if empty, SerialConsistency LOCAL_SERIAL.
	Consistency, SerialConsistency string

	TLS *TLS // nil: none

	ConnectTimeout time.Duration // for a connection; 0: 5 s
	Timeout        time.Duration // for a statement's answer; 0: 10 s
	Connections    int           // to each node; 0: 2

	// Log gets the driver's messages; nil: none. They contain no secrets.
	Log *zap.Logger
	// Observe is told of statements, connections and nodes; nil: none.
	Observe Observer
}

// TLS is encryption and authentication of connections.
type TLS struct {
	CA         string // PEM file of the authorities to trust; empty: the system's
	Cert, Key  string // PEM files of the client's certificate; empty: none
	ServerName string // name that the nodes' certificates must have; empty: the address connected to
	SkipVerify bool   // accept any certificate
}

// String hides the password, in case a Config is printed.
func (c Config) String() string {
	return fmt.Sprintf("cassandra at %v, port %d, keyspace %q, user %q", c.Hosts, c.Port, c.Keyspace, c.Username)
}

// GoString is String.
func (c Config) GoString() string { return c.String() }

// cluster returns the driver's configuration, without what depends on the
// datacenter.
func (c Config) cluster() (*gocql.ClusterConfig, error) {
	if len(c.Hosts) == 0 {
		return nil, errors.New("cassandra: no contact point is configured")
	}
	port, err := c.port()
	if err != nil {
		return nil, err
	}
	g := gocql.NewCluster(c.Hosts...)
	g.Port = port
	g.Keyspace = c.Keyspace
	g.ProtoVersion = 4
	g.ConnectTimeout = cmp.Or(c.ConnectTimeout, DefaultConnectTimeout)
	g.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	g.WriteTimeout = g.Timeout
	g.NumConns = cmp.Or(c.Connections, DefaultConnections)
	g.SocketKeepalive = 15 * time.Second
	// The default of 60 s would delay the recovery from an outage by a minute.
	g.ReconnectInterval = time.Second
	g.ReconnectionPolicy = &gocql.ExponentialReconnectionPolicy{
		MaxRetries: 3, InitialInterval: 200 * time.Millisecond, MaxInterval: 2 * time.Second}
	g.RetryPolicy = nil
	// Where an order matters, statements have explicit timestamps. Elsewhere a
	// server's clock is as good as a gateway's, and conditional batches refuse a
	// client's timestamp.
	g.DefaultTimestamp = false
	g.PageSize = 1000
	g.MaxWaitSchemaAgreement = time.Minute
	g.Logger = newDriverLog(c.Log)
	if c.Username != "" {
		g.Authenticator = gocql.PasswordAuthenticator{Username: c.Username, Password: c.Password}
	}
	if err := c.setConsistency(g); err != nil {
		return nil, err
	}
	if c.TLS != nil {
		t, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		g.SslOpts = &gocql.SslOptions{Config: t, EnableHostVerification: !c.TLS.SkipVerify}
	}
	return g, nil
}

func (c Config) port() (int, error) {
	port := c.Port
	for _, h := range c.Hosts {
		_, p, err := net.SplitHostPort(h)
		if err != nil {
			continue // a host alone
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("cassandra: contact point %q: the port must be a number from 1 to 65535", h)
		}
		if port == 0 {
			port = int(n)
		}
	}
	return cmp.Or(port, DefaultPort), nil
}

func (c Config) setConsistency(g *gocql.ClusterConfig) error {
	g.Consistency, g.SerialConsistency = gocql.LocalQuorum, gocql.LocalSerial
	if c.Consistency != "" {
		if err := g.Consistency.UnmarshalText([]byte(c.Consistency)); err != nil {
			return fmt.Errorf("cassandra: consistency %q is none that Cassandra knows", c.Consistency)
		}
	}
	if c.SerialConsistency != "" {
		if err := g.SerialConsistency.UnmarshalText([]byte(c.SerialConsistency)); err != nil {
			return fmt.Errorf("cassandra: serial consistency %q is neither SERIAL nor LOCAL_SERIAL", c.SerialConsistency)
		}
	}
	return nil
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("cassandra: TLS authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cassandra: TLS authorities: %s holds no certificate in PEM form", t.CA)
		}
	}
	if t.Cert == "" && t.Key == "" {
		return c, nil
	}
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("cassandra: a TLS client certificate and its key go together: set both or neither")
	}
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("cassandra: TLS client certificate %s with key %s: %w", t.Cert, t.Key, err)
	}
	c.Certificates = []tls.Certificate{cert}
	return c, nil
}
