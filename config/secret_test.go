package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSecretsAreNeverPrinted(t *testing.T) {
	file := "keystore: {keys: {AK: {tenant: t, secret: hidden-value}}}\nbucketstore: {cluster: c, username: u, password: hidden-value}\n"
	cfg := mustLoad(t, file, env("PITHOS_MASTER_KEY", "aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVuISE="))
	if cfg.Keystore.Keys["AK"].Secret.Reveal() != "hidden-value" {
		t.Fatal("the secret did not arrive")
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%30s"} {
		fmt.Fprintf(&out, verb+"\n", cfg)
		fmt.Fprintf(&out, verb+"\n", &cfg.Keystore)
		fmt.Fprintf(&out, verb+"\n", cfg.Keystore.Keys["AK"].Secret)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "cfg", cfg, "secret", cfg.Bucketstore.Password)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "cfg", cfg, "secret", cfg.Bucketstore.Password)
	for _, encode := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		data, err := encode(cfg)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(data)
	}
	data, err := xml.Marshal(cfg.Bucketstore.Password)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	text := out.String()
	if !strings.Contains(text, redacted) {
		t.Error("nothing shows that there is a secret")
	}
	for _, leak := range []string{"hidden", "aGlkZGVu", fmt.Sprintf("%x", "hidden"), fmt.Sprintf("%X", "hidden"), "104 105 100"} {
		if strings.Contains(text, leak) {
			t.Errorf("%q is shown", leak)
		}
	}
}

func TestEmptySecretIsShownAsEmpty(t *testing.T) {
	if got := Secret("").String(); got != "" {
		t.Errorf("got %q", got)
	}
}
