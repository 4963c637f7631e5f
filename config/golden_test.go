package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// noEnv is the environment of a test that sets nothing.
func noEnv(string) string { return "" }

// env is an environment with some variables.
func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs, got:\n%s\nwant:\n%s", path, got, want)
	}
}

// files lists the cases of a folder, and fails where there are none.
func files(t *testing.T, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", folder, err)
	}
	return paths
}

func TestMistakesNameFileLineAndWhatToDo(t *testing.T) {
	for _, path := range files(t, "errors") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, err := Load(path, true, noEnv)
			if err == nil {
				t.Fatal("was accepted")
			}
			var list Errors
			if !errors.As(err, &list) {
				t.Fatalf("error is a %T", err)
			}
			if strings.Contains(err.Error(), "hidden") {
				t.Errorf("a secret is shown: %v", err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".err", filepath.ToSlash(err.Error())+"\n")
		})
	}
}

func TestFilesLoadToWhatTheyMean(t *testing.T) {
	for _, path := range files(t, "valid") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			cfg, err := Load(path, true, noEnv)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".txt", story(&cfg))
		})
	}
}

// story tells a configuration's main parts in a form that can be read.
func story(cfg *Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "engine %s, listen %s, service-uri %v, default region %s\n",
		cfg.Engine(), cfg.ListenAddress(), cfg.Options.ServiceURI, cfg.Options.DefaultRegion)
	for _, key := range sortedKeys(cfg.Keystore.Keys) {
		fmt.Fprintf(&b, "key %s: %+v\n", key, cfg.Keystore.Keys[key])
	}
	fmt.Fprintf(&b, "buckets: %+v\n", cfg.Bucketstore.Cassandra)
	for _, name := range sortedKeys(cfg.Regions) {
		region := cfg.Regions[name]
		fmt.Fprintf(&b, "region %s: %+v\n", name, region.Metastore.Cassandra)
		for _, class := range sortedKeys(region.StorageClasses) {
			fmt.Fprintf(&b, "class %s: %+v\n", class, region.StorageClasses[class])
		}
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(&b, "warning %s\n", filepath.ToSlash(w))
	}
	return strings.ReplaceAll(b.String(), " _:{}", "") // former keys hold nothing
}
