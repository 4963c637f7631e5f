// Package k8s holds manifests for Kubernetes, and the tests that hold them to
// its API's types, to the pithos binary and to docs/kubernetes.md.
package k8s

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// object is one document of a manifest.
type object struct {
	file string
	body metav1.Object
}

// kinds makes an empty object of each kind that manifests may hold, by
// apiVersion and kind.
var kinds = map[string]func() metav1.Object{
	"v1 ConfigMap":             func() metav1.Object { return new(corev1.ConfigMap) },
	"v1 Pod":                   func() metav1.Object { return new(corev1.Pod) },
	"v1 ReplicationController": func() metav1.Object { return new(corev1.ReplicationController) },
	"v1 Secret":                func() metav1.Object { return new(corev1.Secret) },
	"v1 Service":               func() metav1.Object { return new(corev1.Service) },
}

// manifests decodes every YAML file below this folder.
func manifests(t *testing.T) []object {
	t.Helper()
	var all []object
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".yaml" {
			all = append(all, decodeFile(t, path)...)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("there are no manifests")
	}
	return all
}

func decodeFile(t *testing.T, path string) []object {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []object
	for _, text := range strings.Split("\n"+string(data), "\n---\n") {
		body, err := decode(text)
		if err != "" {
			t.Fatalf("%s: %s", path, err)
		}
		all = append(all, object{path, body})
	}
	return all
}

// decode reads one document as the API server does that is told to be strict:
// keys that are unknown, written twice or in another case are mistakes.
func decode(text string) (metav1.Object, string) {
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, err.Error()
	}
	var kind metav1.TypeMeta
	if err := json.UnmarshalCaseSensitivePreserveInts(data, &kind); err != nil {
		return nil, err.Error()
	}
	empty := kinds[kind.APIVersion+" "+kind.Kind]
	if empty == nil {
		return nil, "no test knows " + kind.APIVersion + " " + kind.Kind
	}
	body := empty()
	strict, err := json.UnmarshalStrict(data, body)
	if err != nil {
		return nil, err.Error()
	}
	for _, err := range strict {
		return nil, err.Error()
	}
	return body, ""
}

func TestDecodingFindsMistakes(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key":    "apiVersion: v1\nkind: Service\nspec: {typ: LoadBalancer}",
		"key in capital": "apiVersion: v1\nkind: Service\nSpec: {}",
		"key twice":      "apiVersion: v1\nkind: Service\nspec: {}\nspec: {}",
		"wrong type":     "apiVersion: v1\nkind: Service\nspec: {ports: 8080}",
		"former version": "apiVersion: v1beta3\nkind: Service",
	} {
		if _, err := decode(text); err == "" {
			t.Errorf("%s: no mistake was found", name)
		}
	}
}

// pods returns every pod that manifests make, by file and name, with its labels.
func pods(t *testing.T) map[string]corev1.PodTemplateSpec {
	t.Helper()
	found := map[string]corev1.PodTemplateSpec{}
	for _, o := range manifests(t) {
		switch body := o.body.(type) {
		case *corev1.Pod:
			found[o.file] = corev1.PodTemplateSpec{ObjectMeta: body.ObjectMeta, Spec: body.Spec}
		case *corev1.ReplicationController:
			found[o.file] = *body.Spec.Template
		}
	}
	return found
}

// find returns the object of a type and name.
func find[T metav1.Object](t *testing.T, name string) T {
	t.Helper()
	for _, o := range manifests(t) {
		if body, ok := o.body.(T); ok && body.GetName() == name {
			return body
		}
	}
	var none T
	t.Fatalf("there is no %T %s", none, name)
	return none
}

func matches(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}

func TestControllersSelectTheirOwnPods(t *testing.T) {
	for _, o := range manifests(t) {
		rc, ok := o.body.(*corev1.ReplicationController)
		if !ok {
			continue
		}
		for file, pod := range pods(t) {
			if matches(rc.Spec.Selector, pod.Labels) != (file == o.file) {
				t.Errorf("%s: selector %v and the pod of %s with labels %v", o.file, rc.Spec.Selector, file, pod.Labels)
			}
		}
	}
}

func TestServicesReachAPortOfSomePod(t *testing.T) {
	for _, o := range manifests(t) {
		service, ok := o.body.(*corev1.Service)
		if !ok {
			continue
		}
		for _, port := range service.Spec.Ports {
			reached := 0
			for _, pod := range pods(t) {
				if matches(service.Spec.Selector, pod.Labels) && hasPort(pod.Spec, port.TargetPort.StrVal) {
					reached++
				}
			}
			if reached != 1 {
				t.Errorf("%s: port %s of service %s reaches pods of %d manifests, want 1", o.file, port.Name, service.Name, reached)
			}
		}
	}
}

func hasPort(spec corev1.PodSpec, name string) bool {
	for _, c := range spec.Containers {
		for _, p := range c.Ports {
			if p.Name == name {
				return true
			}
		}
	}
	return false
}

func TestServicesAreOfTheKindThatIsPromised(t *testing.T) {
	for name, check := range map[string]func(corev1.ServiceSpec) bool{
		"pithos": func(s corev1.ServiceSpec) bool {
			return s.Type == corev1.ServiceTypeLoadBalancer && s.Ports[0].Port == 8080
		},
		"cassandra": func(s corev1.ServiceSpec) bool {
			return s.ClusterIP == corev1.ClusterIPNone && !s.PublishNotReadyAddresses && s.Ports[0].Port == 9042
		},
		"cassandra-nodes": func(s corev1.ServiceSpec) bool {
			return s.ClusterIP == corev1.ClusterIPNone && s.PublishNotReadyAddresses && s.Ports[0].Port == 7000
		},
	} {
		if s := find[*corev1.Service](t, name); !check(s.Spec) {
			t.Errorf("service %s: %+v", name, s.Spec)
		}
	}
}
