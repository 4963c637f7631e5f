package k8s

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/gateway"
)

// settings loads the ConfigMap's pithos.yaml with an environment.
func settings(t *testing.T, env map[string]string) (config.Config, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	write(t, path, find[*corev1.ConfigMap](t, "pithos-config").Data["pithos.yaml"])
	cfg, err := config.Load(path, true, func(name string) string { return env[name] })
	return cfg, path, err
}

// pithosContainers returns the containers of the pithos image, by file.
func pithosContainers(t *testing.T) map[string]corev1.Container {
	t.Helper()
	found := map[string]corev1.Container{}
	eachContainer(t, func(file string, _ corev1.PodSpec, c corev1.Container) {
		if strings.HasPrefix(c.Image, "pithos/") {
			found[file] = c
		}
	})
	if len(found) < 2 {
		t.Fatalf("containers of pithos: %v", found)
	}
	return found
}

func TestConfigurationLoadsAndAgreesWithTheManifests(t *testing.T) {
	// The image sets PITHOS_LISTEN; the manifests must have the last word.
	cfg, _, err := settings(t, map[string]string{"PITHOS_ACCESS_KEY": "ADMIN", "PITHOS_SECRET_KEY": "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("warnings: %v", cfg.Warnings)
	}
	serve := pithosContainers(t)["pithos/pithos-rc.yaml"]
	if !slices.Contains(serve.Env, corev1.EnvVar{Name: "PITHOS_LISTEN", Value: ""}) {
		t.Error("the image's PITHOS_LISTEN wins over pithos.yaml")
	}
	if want := "0.0.0.0:" + strconv.Itoa(int(serve.Ports[0].ContainerPort)); cfg.ListenAddress() != want {
		t.Errorf("it listens on %s, want %s", cfg.ListenAddress(), want)
	}
	store := cfg.Bucketstore
	if cluster := store.Cluster[0].Host; cluster != find[*corev1.Service](t, "cassandra").Name {
		t.Errorf("bucketstore.cluster %s is no service", cluster)
	}
	nodes := find[*corev1.ReplicationController](t, "cassandra").Spec.Template.Spec.Containers[0]
	if !slices.Contains(nodes.Env, corev1.EnvVar{Name: "CASSANDRA_DC", Value: store.Datacenter}) {
		t.Errorf("no node is in the datacenter %s", store.Datacenter)
	}
	copies := corev1.EnvVar{Name: "COPIES", Value: strconv.Itoa(store.Replication.Factor)}
	if !slices.Contains(pods(t)["pithos/pithos-bootstrap.yaml"].Spec.InitContainers[0].Env, copies) {
		t.Errorf("bootstrap does not wait for %s nodes, which the copies need", copies.Value)
	}
	pause := serve.Lifecycle.PreStop.Sleep.Seconds
	grace := *find[*corev1.ReplicationController](t, "pithos").Spec.Template.Spec.TerminationGracePeriodSeconds
	if needs := pause + int64(cfg.Service.ShutdownTimeout.Seconds()) + 10; grace < needs {
		t.Errorf("pods have %d s to end, and need %d s", grace, needs)
	}
}

func TestTheFormOfTheSecretIsRefusedUntilItIsFilledIn(t *testing.T) {
	form := find[*corev1.Secret](t, "pithos-keys").StringData
	cfg, _, err := settings(t, map[string]string{
		"PITHOS_ACCESS_KEY": form["access-key"], "PITHOS_SECRET_KEY": form["secret-key"], "PITHOS_MASTER_KEY": form["master-key"]})
	if err != nil {
		return
	}
	if _, err := cfg.Encryption.LoadMasterKey(); err == nil {
		t.Error("Pithos starts with keys that everybody can read")
	}
}

func TestProbesAskWhatTheServerAnswers(t *testing.T) {
	cfg, _, err := settings(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := gateway.NewServer(&cfg, zap.NewNop(), nil) // without an engine
	c := pithosContainers(t)["pithos/pithos-rc.yaml"]
	for want, probe := range map[int]*corev1.Probe{http.StatusOK: c.LivenessProbe, http.StatusServiceUnavailable: c.ReadinessProbe} {
		answer := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, probe.HTTPGet.Path, nil)
		request.Host = "10.0.0.1:8080" // as the kubelet asks
		server.ServeHTTP(answer, request)
		if answer.Code != want || !strings.Contains(answer.Body.String(), "status") {
			t.Errorf("%s: %d %s", probe.HTTPGet.Path, answer.Code, answer.Body)
		}
	}
}

// help runs a command line of the binary up to its help, which it shows only
// where verb and flags exist.
func help(ctx context.Context, t *testing.T, args []string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(ctx, "go", append(append([]string{"run", "../cmd/pithos"}, args...), "--help")...).CombinedOutput()
	return string(out), err
}

func TestCommandLinesAreThoseOfTheBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	lines := [][]string{imageHealthcheck(t)}
	for _, c := range pithosContainers(t) {
		if len(c.Command) > 0 {
			t.Errorf("container %s does not run the entry point of its image", c.Name)
		}
		lines = append(lines, c.Args)
	}
	for _, args := range lines {
		if out, err := help(t.Context(), t, args); err != nil || !strings.Contains(out, "pithos "+args[0]+" [flags]") {
			t.Errorf("pithos %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if out, err := help(t.Context(), t, []string{"serve", "--no-such-flag"}); err == nil {
		t.Errorf("an unknown flag was not found: %s", out)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// imageHealthcheck is the command line of the image's health check.
func imageHealthcheck(t *testing.T) []string {
	t.Helper()
	found := regexp.MustCompile(`HEALTHCHECK .*CMD \["/usr/bin/pithos", "(\w+)"\]`).FindStringSubmatch(text(t, "../Dockerfile"))
	if found == nil {
		t.Fatal("the Dockerfile has no health check")
	}
	return found[1:]
}

func TestTheImageIsWhatManifestsExpect(t *testing.T) {
	file := text(t, "../Dockerfile")
	pod := pods(t)["pithos/pithos-rc.yaml"].Spec
	user := strconv.FormatInt(*pod.SecurityContext.RunAsUser, 10)
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(text(t, "../go.mod"))[1]
	for _, want := range []string{
		"ARG GO_IMAGE=golang:" + goVersion + "\n", "FROM scratch\n", "CGO_ENABLED=0", "-trimpath",
		"USER " + user + ":" + user + "\n", "EXPOSE 8080\n", "PITHOS_LISTEN=0.0.0.0:8080 PITHOS_DATA=/data\n",
		"ENTRYPOINT [\"/usr/bin/pithos\"]\n", "CMD [\"serve\"]\n",
	} {
		if !strings.Contains(file, want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
}

// composed is what the tests read of a compose file.
type composed struct {
	Services map[string]struct {
		Image       string            `json:"image"`
		Command     []string          `json:"command"`
		Environment map[string]string `json:"environment"`
	} `json:"services"`
}

func TestImagesAreThoseOfTheDocumentation(t *testing.T) {
	documented := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| image").FindAllStringSubmatch(text(t, "../docs/kubernetes.md"), -1)
	var names []string
	for _, row := range documented {
		names = append(names, row[1])
	}
	used := map[string]string{}
	eachContainer(t, func(file string, _ corev1.PodSpec, c corev1.Container) { used[c.Image] = file })
	for _, file := range []string{"../compose.yaml", "../compose.cassandra.yaml"} {
		for _, service := range compose(t, file).Services {
			used[service.Image] = file
		}
	}
	for image, file := range used {
		if !slices.Contains(names, image) {
			t.Errorf("%s: image %s is not among those of docs/kubernetes.md: %v", file, image, names)
		}
	}
	for _, name := range names {
		if used[name] == "" {
			t.Errorf("docs/kubernetes.md names image %s, which nothing uses", name)
		}
	}
}

func compose(t *testing.T, path string) composed {
	t.Helper()
	var c composed
	if err := yaml.Unmarshal([]byte(text(t, path)), &c); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

func TestComposeFilesSetVariablesThatExist(t *testing.T) {
	known := config.Reference()
	for _, file := range []string{"../compose.yaml", "../compose.cassandra.yaml"} {
		for name, service := range compose(t, file).Services {
			for variable := range service.Environment {
				if strings.HasPrefix(variable, "PITHOS_") && !strings.Contains(known, "| `"+variable+"` |") {
					t.Errorf("%s: service %s sets %s, which Pithos does not know", file, name, variable)
				}
			}
		}
	}
}
