package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pithos/pithos/config"
)

// configOf returns the pithos.yaml of a set.
func configOf(t *testing.T, s set) string {
	t.Helper()
	for _, m := range all[*corev1.ConfigMap](s) {
		if text, found := m.Data["pithos.yaml"]; found {
			return text
		}
	}
	t.Fatal("no ConfigMap has pithos.yaml")
	return ""
}

// load loads a set's pithos.yaml with an environment.
func load(t *testing.T, s set, env map[string]string) (config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	write(t, path, configOf(t, s))
	return config.Load(path, true, func(name string) string { return env[name] })
}

// settingsOf loads a set's pithos.yaml as the pod of its gateways does. Loading
// must neither fail nor warn.
func settingsOf(t *testing.T, s set) config.Config {
	t.Helper()
	env := map[string]string{}
	for _, e := range server(t, s).Env {
		if e.ValueFrom != nil {
			e.Value = "from a secret"
		}
		if e.Name == "PITHOS_ACCESS_KEY" {
			e.Value = "ADMIN"
		}
		env[e.Name] = e.Value
	}
	cfg, err := load(t, s, env)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("warnings: %v", cfg.Warnings)
	}
	return cfg
}

func isPithos(c corev1.Container) bool { return strings.HasPrefix(c.Image, "localhost/pithos:") }

// server returns the container that serves.
func server(t *testing.T, s set) corev1.Container {
	t.Helper()
	_, c := serving(t, s)
	return c
}

// serving returns the pod of the gateways, and its container.
func serving(t *testing.T, s set) (corev1.PodSpec, corev1.Container) {
	t.Helper()
	for _, pod := range s.pods() {
		if c := pod.Spec.Containers[0]; isPithos(c) && c.Args[0] == "serve" {
			return pod.Spec, c
		}
	}
	t.Fatal("no pod runs pithos serve")
	return corev1.PodSpec{}, corev1.Container{}
}

func TestGatewaysListenWhereTheirPortIs(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		// The image sets PITHOS_LISTEN, which would override pithos.yaml.
		c, cfg := server(t, s), settingsOf(t, s)
		if !slices.Contains(c.Env, corev1.EnvVar{Name: "PITHOS_LISTEN", Value: ""}) {
			t.Error("the image's PITHOS_LISTEN overrides pithos.yaml")
		}
		if want := "0.0.0.0:" + strconv.Itoa(int(c.Ports[0].ContainerPort)); cfg.ListenAddress() != want {
			t.Errorf("it listens on %s, want %s", cfg.ListenAddress(), want)
		}
	})
}

func TestGatewaysHaveTimeToFinish(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		pod, _ := serving(t, s)
		cfg, grace := settingsOf(t, s), time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second
		service := cfg.Service
		needs := service.DrainDelay + service.ShutdownTimeout + 10*time.Second
		if grace < needs {
			t.Errorf("pods have %s to terminate, and need %s", grace, needs)
		}
		// A single pod must not wait: no other pod serves meanwhile.
		if single := cfg.Engine() == config.EmbeddedEngine; single != (service.DrainDelay == 0) || !single && service.DrainDelay < 5*time.Second {
			t.Errorf("drain-delay is %s", service.DrainDelay)
		}
	})
}

// ownMemory is what the process needs besides the bodies of requests (cmd/pithos),
// in bytes.
const ownMemory = 160 << 20

func TestGatewaysStayBelowTheirLimitOfMemory(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		c := server(t, s)
		limit := c.Resources.Limits.Memory().Value()
		if needs := ownMemory + int64(settingsOf(t, s).Service.MaxMemory); limit < needs*110/100 {
			t.Errorf("the limit is %d bytes; the process needs %d and a tenth more", limit, needs)
		}
	})
}

func TestEnginesAreThoseOfTheManifests(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		pod, c := serving(t, s)
		cfg := settingsOf(t, s)
		volume := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/data" })
		embedded := cfg.Engine() == config.EmbeddedEngine
		if embedded != volume || embedded && cfg.Embedded.Directory != "/data" {
			t.Errorf("engine %s in directory %s, with a volume: %v", cfg.Engine(), cfg.Embedded.Directory, volume)
		}
		if embedded && (pod.SecurityContext.FSGroup == nil || *pod.SecurityContext.FSGroup != *pod.SecurityContext.RunAsGroup) {
			t.Error("the pod cannot write its volume")
		}
		if embedded && !slices.Contains(c.Env, corev1.EnvVar{Name: "PITHOS_DATA", Value: ""}) {
			t.Error("the image's PITHOS_DATA overrides pithos.yaml")
		}
	})
}

func TestMetricsAreReadWhereTheyAreServed(t *testing.T) {
	found := 0
	eachSet(t, func(t *testing.T, s set) {
		c, cfg := server(t, s), settingsOf(t, s)
		want := ""
		for _, p := range c.Ports {
			if p.Name == "admin" {
				want = "0.0.0.0:" + strconv.Itoa(int(p.ContainerPort))
			}
		}
		if cfg.Admin.Listen != want {
			t.Errorf("admin.listen is %q, want %q", cfg.Admin.Listen, want)
		}
		for _, monitor := range all[*serviceMonitor](s) {
			found++
			at := monitor.Spec.Endpoints[0]
			if !strings.Contains(config.Reference(), "read at `admin.listen`, under `"+at.Path+"`") {
				t.Errorf("the gateway does not serve %s", at.Path)
			}
			for _, service := range all[*corev1.Service](s) {
				selected := matches(monitor.Spec.Selector.MatchLabels, service.Labels)
				if selected != (service.Spec.Ports[0].Name == at.Port) || selected && service.Spec.Ports[0].TargetPort.StrVal != "admin" {
					t.Errorf("service %s is selected by the monitor: %v", service.Name, selected)
				}
			}
		}
		for _, service := range all[*corev1.Service](s) {
			if service.Spec.ClusterIP != corev1.ClusterIPNone && (len(service.Spec.Ports) != 1 || service.Spec.Ports[0].Name != "s3") {
				t.Errorf("service %s has other ports than s3: %v", service.Name, service.Spec.Ports)
			}
		}
	})
	if found == 0 {
		t.Error("no set has a ServiceMonitor")
	}
}

// nodesOf returns the container of the set's own Cassandra, and its service.
func nodesOf(s set) (*corev1.Container, *corev1.Service) {
	for _, service := range all[*corev1.Service](s) {
		if names := s.selected(service.Spec.Selector); service.Spec.Ports[0].Name == "cql" && len(names) == 1 {
			return &s.pods()[names[0]].Spec.Containers[0], service
		}
	}
	return nil, nil
}

func TestCassandraIsTheOneOfTheConfiguration(t *testing.T) {
	found := 0
	eachSet(t, func(t *testing.T, s set) {
		nodes, service := nodesOf(s)
		if nodes == nil {
			return
		}
		found++
		store := settingsOf(t, s).Bucketstore
		if host := store.Cluster[0].Host; host != service.Name {
			t.Errorf("bucketstore.cluster %s is not the service %s", host, service.Name)
		}
		if !slices.Contains(nodes.Env, corev1.EnvVar{Name: "CASSANDRA_DC", Value: store.Datacenter}) {
			t.Errorf("no node is in the datacenter %s", store.Datacenter)
		}
		if store.Replication.Factor != 3 {
			t.Errorf("%d copies", store.Replication.Factor)
		}
		find[*corev1.Service](t, s, service.Name+"-nodes")
		for _, body := range all[*appsv1.StatefulSet](s) {
			if int(*body.Spec.Replicas) < store.Replication.Factor {
				t.Errorf("%d nodes keep %d copies", *body.Spec.Replicas, store.Replication.Factor)
			}
		}
	})
	if found != 2 { // plain, and rendered with mode cassandra
		t.Errorf("%d sets have a Cassandra of their own", found)
	}
}

func TestAnExistingCassandraGetsTheUserOfItsSecret(t *testing.T) {
	for _, name := range []string{renderedDir + "/existing-cassandra.yaml", "testdata/existing-cassandra.yaml"} {
		s := decodeFile(t, name)
		store := settingsOf(t, s).Bucketstore
		if store.Username != "from a secret" || store.Password.Reveal() != "from a secret" || store.Cluster[0].Host != "demo-dc1-service.k8ssandra-operator.svc" {
			t.Errorf("%s: %s as %q", name, store.Cluster, store.Username)
		}
		for _, job := range all[*batchv1.Job](s) {
			want := server(t, s).Env
			for _, e := range job.Spec.Template.Spec.Containers[0].Env {
				if !slices.ContainsFunc(want, func(w corev1.EnvVar) bool { return reflect.DeepEqual(w, e) }) {
					t.Errorf("%s: bootstrap has %s, which the gateways lack", name, e.Name)
				}
			}
			if len(job.Spec.Template.Spec.Containers[0].Env) != 2 {
				t.Errorf("%s: bootstrap has no user", name)
			}
		}
	}
}

func TestTheTemplateOfTheSecretIsRefusedUntilItIsFilledIn(t *testing.T) {
	form := find[*corev1.Secret](t, plain(t), "pithos-keys").StringData
	cfg, err := load(t, plain(t), map[string]string{
		"PITHOS_ACCESS_KEY": form["access-key"], "PITHOS_SECRET_KEY": form["secret-key"], "PITHOS_MASTER_KEY": form["master-key"]})
	if err != nil {
		return
	}
	if _, err := cfg.Encryption.LoadMasterKey(); err == nil {
		t.Error("Pithos starts with keys that are public")
	}
}

// TestProbesAskTheHealthEndpoints holds the paths of the probes; tests of
// internal/edge hold what they answer.
func TestProbesAskTheHealthEndpoints(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		c := server(t, s)
		if live, ready := c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path; live != "/-/live" || ready != "/-/ready" {
			t.Errorf("liveness is asked at %s, readiness at %s", live, ready)
		}
	})
}

// help runs a command line of the binary with --help: it fails if the verb or a
// flag does not exist.
func help(ctx context.Context, t *testing.T, args []string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"run", "./cmd/pithos"}, args...), "--help")...)
	cmd.Dir = "../.." // its module
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCommandLinesAreThoseOfTheBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	lines := [][]string{imageHealthcheck(t)}
	eachContainer(t, func(t *testing.T, o object, _ corev1.PodSpec, c corev1.Container) {
		if !isPithos(c) {
			return
		}
		if len(c.Command) > 0 {
			t.Errorf("%s: container %s overrides the entry point of its image", o.name(), c.Name)
		}
		if !slices.ContainsFunc(lines, func(known []string) bool { return slices.Equal(known, c.Args) }) {
			lines = append(lines, c.Args)
		}
	})
	for _, args := range lines {
		if out, err := help(t.Context(), t, args); err != nil || !strings.Contains(out, "pithos "+args[0]+" [flags]") {
			t.Errorf("pithos %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if out, err := help(t.Context(), t, []string{"serve", "--no-such-flag"}); err == nil {
		t.Errorf("an unknown flag was accepted: %s", out)
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
