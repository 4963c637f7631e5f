package config

import (
	"encoding/base64"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// written puts a file into a fresh folder.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t *testing.T, text string, getenv func(string) string) Config {
	t.Helper()
	cfg, err := Load(written(t, text), true, getenv)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestDefaultsRunTheEmbeddedEngineOnLoopback(t *testing.T) {
	cfg := Default()
	if cfg.Engine() != EmbeddedEngine || cfg.ListenAddress() != "127.0.0.1:8080" || cfg.Embedded.Directory != "./pithos-data" {
		t.Errorf("engine %s on %s in %s", cfg.Engine(), cfg.ListenAddress(), cfg.Embedded.Directory)
	}
	if cfg.Options.ClockSkew != 15*time.Minute || !cfg.Options.SignatureV2 || cfg.Service.MaxBody != 5<<30 {
		t.Errorf("options %+v, service %+v", cfg.Options, cfg.Service)
	}
	region := cfg.Regions["us-east-1"]
	class, ok := region.Class("")
	if !ok || class.Type != "file" || class.MaxChunk != 512<<10 {
		t.Errorf("standard class: %+v, %v", class, ok)
	}
	if len(cfg.Warnings) > 0 || cfg.Source != "" {
		t.Errorf("warnings %v, source %q", cfg.Warnings, cfg.Source)
	}
}

func TestFileIsChosenByFlagThenVariableThenDefaultPath(t *testing.T) {
	flagged, named, usual := written(t, "service: {port: 1}"), written(t, "service: {port: 2}"), written(t, "service: {port: 3}")
	variable := env("PITHOS_CONFIGURATION", named)
	missing := filepath.Join(t.TempDir(), "none.yaml")
	cases := []struct {
		name     string
		path     string
		explicit bool
		getenv   func(string) string
		port     int
		source   string
	}{
		{"flag wins", flagged, true, variable, 1, flagged},
		{"variable before default path", usual, false, variable, 2, named},
		{"default path", usual, false, noEnv, 3, usual},
		{"default path need not exist", missing, false, noEnv, 8080, ""},
		{"no path at all", "", false, noEnv, 8080, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := Load(c.path, c.explicit, c.getenv)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Service.Port != c.port || cfg.Source != c.source {
				t.Errorf("port %d from %q, want %d from %q", cfg.Service.Port, cfg.Source, c.port, c.source)
			}
		})
	}
}

func TestNamedFileMustBeReadable(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	huge := written(t, strings.Repeat("# long\n", maxFile/7+1))
	cases := []struct {
		name, path string
		explicit   bool
		getenv     func(string) string
		want       string
	}{
		{"flag", missing, true, noEnv, "no such file; it was given with -f"},
		{"variable", "", false, env("PITHOS_CONFIGURATION", missing), "no such file; PITHOS_CONFIGURATION names it"},
		{"empty flag", "", true, noEnv, "path of the configuration is empty"},
		{"directory", t.TempDir(), true, noEnv, "cannot be read: is a directory"},
		{"directory at the default path", t.TempDir(), false, noEnv, "cannot be read: is a directory"},
		{"too large", huge, true, noEnv, "larger than 1048576 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(c.path, c.explicit, c.getenv)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEnvironmentWinsOverTheFile(t *testing.T) {
	file := `
service: {host: 127.0.0.1, port: 1}
embedded: {directory: /file}
options: {service-uri: file.example.com, default-region: a, buckets: [file]}
keystore: {keys: {AK: {tenant: t, secret: old}}}
`
	cfg := mustLoad(t, file, env("PITHOS_LISTEN", "[::]:9000", "PITHOS_DATA", "/env",
		"PITHOS_ACCESS_KEY", "AK", "PITHOS_SECRET_KEY", "new", "PITHOS_BUCKETS", "demo, other",
		"PITHOS_SERVICE_URI", "s3.example.com,S3.Example.Org.", "PITHOS_REGION", "b"))
	if got := cfg.ListenAddress(); got != "[::]:9000" {
		t.Errorf("listens on %s", got)
	}
	if cfg.Embedded.Directory != "/env" || cfg.Options.DefaultRegion != "b" || cfg.Keystore.Root != "AK" {
		t.Errorf("directory %s, region %s, root %s", cfg.Embedded.Directory, cfg.Options.DefaultRegion, cfg.Keystore.Root)
	}
	if want := []string{"demo", "other"}; !reflect.DeepEqual(cfg.Options.Buckets, want) {
		t.Errorf("buckets %v", cfg.Options.Buckets)
	}
	if want := []string{"s3.example.com", "s3.example.org"}; !reflect.DeepEqual(cfg.Options.ServiceURI, want) {
		t.Errorf("service-uri %v", cfg.Options.ServiceURI)
	}
	if key := cfg.Keystore.Keys["AK"]; key.Secret.Reveal() != "new" || !key.Master || key.Tenant != "t" {
		t.Errorf("key %+v", key)
	}
}

func TestCassandraHostChoosesCassandraForEveryStore(t *testing.T) {
	file := `
bucketstore: {cluster: localhost, keyspace: storage, port: 9142}
regions: {r: {metastore: {cluster: localhost}, storage-classes: {standard: {cluster: localhost}}}}
`
	getenv := env("PITHOS_CASSANDRA_HOST", "cassandra, 10.0.0.2:9043,[fd00::1]:9044")
	for name, text := range map[string]string{"no file's cluster": "", "one cluster": file} {
		t.Run(name, func(t *testing.T) {
			cfg := mustLoad(t, text, getenv)
			if cfg.Engine() != CassandraEngine {
				t.Fatal(cfg.Engine())
			}
			region := cfg.Regions[cfg.Options.DefaultRegion]
			class, _ := region.Class("STANDARD")
			for _, c := range []Cassandra{cfg.Bucketstore.Cassandra, region.Metastore.Cassandra, class.Cassandra} {
				if len(c.Cluster) != 3 || c.Cluster[0].String() != "cassandra:"+map[bool]string{true: "9042", false: "9142"}[text == ""] ||
					c.Cluster[1].String() != "10.0.0.2:9043" || c.Cluster[2].String() != "[fd00::1]:9044" {
					t.Errorf("cluster %v", c.Cluster)
				}
			}
		})
	}
}

func TestEnvironmentMistakesNameTheVariable(t *testing.T) {
	two := "bucketstore: {cluster: a}\nregions: {r: {metastore: {cluster: b}}}\n"
	cases := []struct{ name, file, variable, value, want string }{
		{"listen without port", "", "PITHOS_LISTEN", "127.0.0.1", "environment: PITHOS_LISTEN: expected host:port"},
		{"listen port too large", "", "PITHOS_LISTEN", "127.0.0.1:65536", "environment: PITHOS_LISTEN: expected host:port"},
		{"half a key", "", "PITHOS_ACCESS_KEY", "AK", "must be set together"},
		{"other half", "", "PITHOS_SECRET_KEY", "hidden", "must be set together"},
		{"master key", "", "PITHOS_MASTER_KEY", "hidden", "environment: PITHOS_MASTER_KEY: expected the base64 of 32 bytes"},
		{"host list of nothing", "", "PITHOS_CASSANDRA_HOST", ", ,", "names no host"},
		{"bad host", "", "PITHOS_CASSANDRA_HOST", "a b", "environment: PITHOS_CASSANDRA_HOST: \"a b\" is neither a host name nor an address"},
		{"two clusters in the file", two, "PITHOS_CASSANDRA_HOST", "c", "several clusters"},
		{"service uri", "", "PITHOS_SERVICE_URI", "https://s3", "expected a host name"},
		{"region that is not there", "regions: {r: {}}", "PITHOS_REGION", "s", `no region "s"; there is r`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(written(t, c.file), true, env(c.variable, c.value))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hidden") {
				t.Errorf("a secret is shown: %v", err)
			}
		})
	}
}

func TestMasterKeyComesFromEnvironmentThenFile(t *testing.T) {
	fromEnv, fromFile := strings.Repeat("e", 32), strings.Repeat("f", 32)
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	raw := write("raw", fromFile)
	coded := write("coded", base64.StdEncoding.EncodeToString([]byte(fromFile))+"\n")
	short := write("short", "hidden")
	cases := []struct{ name, variable, file, want, mistake string }{
		{"neither", "", "", "", ""},
		{"environment wins", base64.StdEncoding.EncodeToString([]byte(fromEnv)), raw, fromEnv, ""},
		{"url alphabet without padding", base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 32))), "", strings.Repeat("\xff", 32), ""},
		{"raw file", "", raw, fromFile, ""},
		{"base64 file", "", coded, fromFile, ""},
		{"bad file", "", short, "", "32 bytes"},
		{"no file", "", filepath.Join(folder, "none"), "", "no such file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := mustLoad(t, "encryption: {master-key-file: '"+c.file+"'}", env("PITHOS_MASTER_KEY", c.variable))
			key, err := cfg.Encryption.LoadMasterKey()
			if (c.mistake == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.mistake) {
				t.Fatalf("error %v, want %q", err, c.mistake)
			}
			if string(key) != c.want {
				t.Errorf("got %d bytes, want %d", len(key), len(c.want))
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("the key is shown: %v", err)
			}
		})
	}
}

func TestExampleKeysAreFoundByIDOrSecret(t *testing.T) {
	cfg := mustLoad(t, `
keystore:
  keys:
    AKIAIOSFODNN7EXAMPLE: {tenant: t, secret: own}
    MINE: {tenant: t, secret: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}
    SAFE: {tenant: t, secret: own}
`, noEnv)
	if got, want := cfg.ExampleKeys(), []string{"AKIAIOSFODNN7EXAMPLE", "MINE"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestListensBeyondLoopback(t *testing.T) {
	cases := map[string]bool{"127.0.0.1:1": false, "127.8.0.1:1": false, "[::1]:1": false, "localhost:1": false,
		":1": true, "0.0.0.0:1": true, "[::]:1": true, "192.0.2.1:1": true, "gateway:1": true}
	for listen, want := range cases {
		cfg, err := Load("", false, env("PITHOS_LISTEN", listen))
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.ListensBeyondLoopback(); got != want {
			t.Errorf("%s: got %v", listen, got)
		}
	}
}
