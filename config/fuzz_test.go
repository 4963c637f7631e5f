package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad holds that no file makes Load panic, that mistakes come as Errors,
// and that a file that loads leaves nothing half set.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.yaml", "testdata/errors/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatal("no seeds", err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, "127.0.0.1:1", "cassandra")
		}
	}
	path := filepath.Join(f.TempDir(), "fuzz.yaml")
	f.Fuzz(func(t *testing.T, data []byte, listen, hosts string) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(path, true, env("PITHOS_LISTEN", listen, "PITHOS_CASSANDRA_HOST", hosts))
		var list Errors
		if err != nil && !errors.As(err, &list) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		for _, e := range list {
			if e.Problem == "" {
				t.Errorf("message without sense: %q", e.Error())
			}
		}
		if err != nil {
			return
		}
		region, ok := cfg.Regions[cfg.Options.DefaultRegion]
		if !ok {
			t.Fatalf("default region %q does not exist", cfg.Options.DefaultRegion)
		}
		if _, ok := region.Class(""); !ok {
			t.Error("no standard class")
		}
		for id, key := range cfg.Keystore.Keys {
			if id == "" || key.Secret == "" || key.Tenant == "" {
				t.Errorf("half a key: %q %+v", id, key)
			}
		}
		for _, host := range region.Metastore.Cluster {
			if host.Host == "" || host.Port < 1 || host.Port > 65535 {
				t.Errorf("contact point %+v", host)
			}
		}
	})
}
