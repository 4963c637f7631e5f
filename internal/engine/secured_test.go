package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/markdown"
)

// A cluster that wants TLS, certificates of its clients and passwords: the
// schema is installed by one user, and served by another that may no more than
// read and write rows, as docs/operations.md says.
func TestClusterThatKnowsItsClients(t *testing.T) {
	c := cassandratest.StartSecured(t)
	store := func(user, password, tls string) string {
		return fmt.Sprintf("bucketstore: {cluster: ['%s'], keyspace: secured, connect-timeout: 20s, username: '%s', password: '%s', tls: %s}",
			c.Addrs()[0], user, password, tls)
	}
	ours := fmt.Sprintf("{ca: '%s', certificate: '%s', key: '%s'}", c.CA, c.Cert, c.Key)
	installed(t, configuration(t, store(cassandratest.Superuser, cassandratest.SuperuserPassword, ours)))
	admin := c.Session(t)
	for _, ddl := range rolesOfThePage(t, "a secret of gateways", "secured") {
		if err := admin.Query(ddl).Exec(); err != nil {
			t.Fatalf("%s: %v", ddl, err)
		}
	}
	t.Run("served", func(t *testing.T) {
		e := opened(t, configuration(t, store("gateway", "a secret of gateways", ours)), OpenOptions{})
		p := placeIn(t, e, "secured", "")
		for key, body := range map[string]string{"small": "body", "large": big("x")} {
			p.put(key, body)
			p.shows(key, body)
		}
		if keys := p.keys(); keys != "large small" {
			t.Errorf("listed: %s", keys)
		}
		if err := e.Store.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	})
	for name, bad := range map[string]struct{ user, password, tls, want string }{
		"wrong password":          {"gateway", "not the secret", ours, "password"},
		"unknown user":            {"absent", "a secret of gateways", ours, "password"},
		"no password":             {"", "", ours, "authentication required"},
		"unknown authority":       {"gateway", "a secret of gateways", fmt.Sprintf("{ca: '%s', certificate: '%s', key: '%s'}", c.OtherCA, c.Cert, c.Key), "unknown authority"},
		"other name":              {"gateway", "a secret of gateways", strings.Replace(ours, "}", ", server-name: other.example}", 1), "other.example"},
		"no client certificate":   {"gateway", "a secret of gateways", fmt.Sprintf("{ca: '%s'}", c.CA), "tls"},
		"client of another owner": {"gateway", "a secret of gateways", fmt.Sprintf("{ca: '%s', certificate: '%s', key: '%s'}", c.CA, c.OtherCert, c.OtherKey), "tls"},
		"no TLS":                  {"gateway", "a secret of gateways", "false", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configuration(t, store(bad.user, bad.password, bad.tls))
			err := refused(t, cfg)
			if !strings.Contains(strings.ToLower(err.Error()), bad.want) {
				t.Errorf("the error does not say %q: %v", bad.want, err)
			}
			if bad.password != "" && strings.Contains(err.Error(), bad.password) {
				t.Errorf("the error tells the password: %v", err)
			}
			t.Log(err)
		})
	}
}

// rolesOfThePage are the statements of docs/operations.md that make the user
// of gateways, with another password and keyspace.
func rolesOfThePage(t *testing.T, password, keyspace string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range markdown.Blocks(string(page)) {
		if b.Language == "cql" {
			cql := strings.NewReplacer("'...'", "'"+password+"'", "KEYSPACE pithos", "KEYSPACE "+keyspace).Replace(b.Text)
			return strings.Split(strings.TrimSuffix(strings.TrimSpace(cql), ";"), ";\n")
		}
	}
	t.Fatal("docs/operations.md has no statements")
	return nil
}

// refused opens an engine that is not to be let in, and returns why. A busy
// server may take so long to say it that the driver does not wait for it.
func refused(t *testing.T, cfg *config.Config) error {
	t.Helper()
	for try := 0; ; try++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		e, err := Open(ctx, cfg, OpenOptions{})
		cancel()
		if err == nil {
			_ = e.Close()
			t.Fatal("it lets us in")
		}
		if try == 4 || !strings.Contains(err.Error(), "within timeout") {
			return err
		}
	}
}
