package test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
)

// valuesOf reads values as the command line's -f does.
func valuesOf(t *testing.T, text string) chartutil.Values {
	t.Helper()
	values, err := chartutil.ReadValues([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestInvalidValuesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ values, says string }{
		"a key that does not exist":           {"replicas: 3", "replicas"},
		"a key deep down that does not exist": {"cassandra: {storage: {sise: 1Gi}}", "sise"},
		"another mode":                        {"mode: mysql", "mode"},
		"text for a number":                   {"replicaCount: three", "replicaCount"},
		"a service of no such type":           {"service: {type: Balancer}", "type"},
		"existing Cassandra without a host":   {"mode: existing-cassandra", "hosts"},
		"more copies than nodes":              {"mode: cassandra\ncassandra: {copies: 5}", "copies"},
		"a master key that is none":           {"keys: {masterKey: secret}", "masterKey"},
		"an access key without its secret":    {"keys: {accessKey: ADMIN}", "keys.secretKey"},
		"keys in two places":                  {"keys: {accessKey: A, existingSecret: mine}", "exclude each other"},
		"an Ingress without a name":           {"ingress: {enabled: true}\nserviceURI: [localhost]", "serviceURI"},
		"another port of the pods":            {"config: {service: {port: 9000}}", "config.service.port"},
		"another address of the pods":         {"config: {service: {host: 127.0.0.1}}", "config.service.host"},
		"TLS without a mounted certificate":   {"config: {service: {tls: {certificate: /x}}}", "config.service.tls"},
		"another directory":                   {"config: {embedded: {directory: /srv}}", "config.embedded.directory"},
		"a proxy by name":                     {"ingress: {trustedProxies: [ingress.example.com]}", "trustedProxies"},
		"a service name with a scheme":        {"serviceURI: ['http://s3.example.com']", "serviceURI"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, valuesOf(t, c.values))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error about %q", err, c.says)
			}
		})
	}
}

func TestValuesReachTheConfiguration(t *testing.T) {
	rendered, err := render(t, valuesOf(t, "config: {service: {max-body: 1G, max-memory: 1G}, options: {signature-v2: false}}\nbuckets: [demo]\ningress: {enabled: true, trustedProxies: [10.42.0.0/16]}"))
	if err != nil {
		t.Fatal(err)
	}
	config := rendered["pithos/templates/config.yaml"]
	for _, want := range []string{"max-body: 1G", "max-memory: 1G", "signature-v2: false", "- demo", "trusted-proxies:", "- 10.42.0.0/16", "port: 8080", "directory: /data"} {
		if !strings.Contains(config, want) {
			t.Errorf("%s is missing in\n%s", want, config)
		}
	}
}

// schema is what the test reads of values.schema.json.
type schema struct {
	Properties map[string]schema `json:"properties"`
}

// paths lists the keys of values. A free-form map counts as one key.
func paths(prefix string, values map[string]any, s schema, all map[string]bool) {
	for key, value := range values {
		all[prefix+key] = true
		if inner, ok := value.(map[string]any); ok && len(s.Properties[key].Properties) > 0 {
			paths(prefix+key+".", inner, s.Properties[key], all)
		}
	}
}

func schemaPaths(prefix string, s schema, all map[string]bool) {
	for key, inner := range s.Properties {
		all[prefix+key] = true
		schemaPaths(prefix+key+".", inner, all)
	}
}

func TestTheSchemaHasExactlyTheValues(t *testing.T) {
	var s schema
	text, err := os.ReadFile(chartDir + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	// Helm adds global to every chart.
	values, known := map[string]bool{"global": true}, map[string]bool{}
	paths("", loadChart(t).Values, s, values)
	schemaPaths("", s, known)
	for path := range values {
		if !known[path] {
			t.Errorf("values.schema.json lacks %s", path)
		}
	}
	for path := range known {
		if !values[path] && !strings.Contains(path, "esources.") {
			t.Errorf("values.yaml lacks %s", path)
		}
	}
}

func TestEveryTopLevelValueHasAComment(t *testing.T) {
	file, err := os.Open(chartDir + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	explained := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
			explained = true
		case line == "":
			explained = false
		case line[0] != ' ' && line[0] != '-' && !explained:
			t.Errorf("no comment explains %s", line)
		}
	}
}

// TestRenderedVersionsCanFollowEachOther holds that 'kubectl apply' can replace
// the chart's output by that of another version or other values. A Job cannot be
// changed, so one with another content must have another name, and one with the
// same content the same name. The pod of 'helm test' must not be rendered.
func TestRenderedVersionsCanFollowEachOther(t *testing.T) {
	job := func(values string) string {
		t.Helper()
		rendered, err := render(t, valuesOf(t, "mode: cassandra\n"+values))
		if err != nil {
			t.Fatal(err)
		}
		if pod := strings.TrimSpace(rendered["pithos/templates/test.yaml"]); pod != "" {
			t.Errorf("the pod of 'helm test' is rendered:\n%s", pod)
		}
		_, rest, _ := strings.Cut(rendered["pithos/templates/bootstrap.yaml"], "\n  name: ")
		name, _, _ := strings.Cut(rest, "\n")
		return name
	}
	first := job("image: {tag: v1}")
	seen := map[string]string{first: "the first"}
	if again := job("image: {tag: v1}\nreplicaCount: 7\ningress: {enabled: true}"); again != first {
		t.Errorf("the Job of the same image is named %s and %s", first, again)
	}
	for _, values := range []string{
		"image: {tag: v2}", "image: {tag: v1, repository: r.example.com/pithos}", "image: {tag: v1, pullSecrets: [s]}", "image: {tag: v1}\nbootstrap: {timeout: 5m}",
		"image: {tag: v1}\ncassandra: {keyspace: other}", "image: {tag: v1}\nnodeSelector: {a: b}",
		"fullnameOverride: " + strings.Repeat("x", 50) + "-pithos",
	} {
		name := job(values)
		if seen[name] != "" {
			t.Errorf("%s: the Job has the same name as with %s", values, seen[name])
		}
		if len(name) > 63 {
			t.Errorf("the name %s is too long for a Job", name)
		}
		seen[name] = values
	}
}
