package test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// object is one document of a manifest.
type object struct {
	file string
	kind string
	body metav1.Object
}

// kinds makes an empty object of each kind that manifests may hold, by
// apiVersion and kind.
var kinds = map[string]func() metav1.Object{
	"apps/v1 Deployment":                      func() metav1.Object { return new(appsv1.Deployment) },
	"apps/v1 StatefulSet":                     func() metav1.Object { return new(appsv1.StatefulSet) },
	"autoscaling/v2 HorizontalPodAutoscaler":  func() metav1.Object { return new(autoscalingv2.HorizontalPodAutoscaler) },
	"batch/v1 Job":                            func() metav1.Object { return new(batchv1.Job) },
	"monitoring.coreos.com/v1 ServiceMonitor": func() metav1.Object { return new(serviceMonitor) },
	"networking.k8s.io/v1 Ingress":            func() metav1.Object { return new(networkingv1.Ingress) },
	"networking.k8s.io/v1 NetworkPolicy":      func() metav1.Object { return new(networkingv1.NetworkPolicy) },
	"policy/v1 PodDisruptionBudget":           func() metav1.Object { return new(policyv1.PodDisruptionBudget) },
	"v1 ConfigMap":                            func() metav1.Object { return new(corev1.ConfigMap) },
	"v1 Pod":                                  func() metav1.Object { return new(corev1.Pod) },
	"v1 ReplicationController":                func() metav1.Object { return new(corev1.ReplicationController) },
	"v1 Secret":                               func() metav1.Object { return new(corev1.Secret) },
	"v1 Service":                              func() metav1.Object { return new(corev1.Service) },
}

// serviceMonitor has the fields of the Prometheus operator's type that manifests
// use. TestMonitorsAreOfTheOperatorsType decodes the whole type.
type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port     string `json:"port"`
			Path     string `json:"path"`
			Interval string `json:"interval"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// set is the objects that are created together.
type set []object

// plain is the manifests of 'kubectl create -f': those of k8s/cassandra and
// k8s/pithos.
func plain(t *testing.T) set {
	t.Helper()
	var all set
	for _, dir := range []string{"../cassandra", "../pithos"} {
		files, err := filepath.Glob(dir + "/*.yaml")
		if err != nil || len(files) == 0 {
			t.Fatalf("manifests of %s: %v %v", dir, files, err)
		}
		for _, file := range files {
			all = append(all, decodeFile(t, file)...)
		}
	}
	return all
}

// eachSet runs a test on the plain manifests and on everything that is rendered
// from the chart.
func eachSet(t *testing.T, check func(t *testing.T, s set)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { check(t, plain(t)) })
	for file := range renderings {
		t.Run(file, func(t *testing.T) { check(t, decodeFile(t, file)) })
	}
}

// decodeFile decodes every document of a file.
func decodeFile(t *testing.T, path string) set {
	t.Helper()
	var all set
	for _, document := range documents(t, path) {
		o, err := decode(document)
		if err != "" {
			t.Fatalf("%s: %s\n%s", path, err, document)
		}
		o.file = path
		all = append(all, o)
	}
	return all
}

// documents splits a file into its YAML documents, without those that hold
// comments alone.
func documents(t *testing.T, path string) []string {
	t.Helper()
	var found []string
	for _, document := range strings.Split("\n"+text(t, path), "\n---\n") {
		if strings.TrimSpace(comment.ReplaceAllString(document, "")) != "" {
			found = append(found, document+"\n")
		}
	}
	return found
}

var comment = regexp.MustCompile(`(?m)^#.*$`)

// decode reads one document as the API server does in strict mode: keys that are
// unknown, written twice or in another case are mistakes.
func decode(text string) (o object, problem string) {
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return o, err.Error()
	}
	var kind metav1.TypeMeta
	if err := json.UnmarshalCaseSensitivePreserveInts(data, &kind); err != nil {
		return o, err.Error()
	}
	empty := kinds[kind.APIVersion+" "+kind.Kind]
	if empty == nil {
		return o, "no test knows " + kind.APIVersion + " " + kind.Kind
	}
	o.kind, o.body = kind.Kind, empty()
	strict, err := json.UnmarshalStrict(data, o.body)
	if err != nil {
		return o, err.Error()
	}
	for _, err := range strict {
		return o, err.Error()
	}
	return o, ""
}

func TestDecodingFindsMistakes(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key":    "apiVersion: v1\nkind: Service\nspec: {typ: LoadBalancer}",
		"key in capital": "apiVersion: v1\nkind: Service\nSpec: {}",
		"key twice":      "apiVersion: v1\nkind: Service\nspec: {}\nspec: {}",
		"wrong type":     "apiVersion: v1\nkind: Service\nspec: {ports: 8080}",
		"old version":    "apiVersion: v1beta3\nkind: Service",
	} {
		if _, err := decode(text); err == "" {
			t.Errorf("%s: no mistake was found", name)
		}
	}
}

// name is the object as messages show it.
func (o object) name() string { return o.kind + " " + o.body.GetName() }

// pod is the pod that an object makes, nil if it makes none.
func (o object) pod() *corev1.PodTemplateSpec {
	switch body := o.body.(type) {
	case *corev1.Pod:
		return &corev1.PodTemplateSpec{ObjectMeta: body.ObjectMeta, Spec: body.Spec}
	case *corev1.ReplicationController:
		return body.Spec.Template
	case *appsv1.Deployment:
		return &body.Spec.Template
	case *appsv1.StatefulSet:
		return &body.Spec.Template
	case *batchv1.Job:
		return &body.Spec.Template
	}
	return nil
}

// pods returns every pod that the objects make, by the names of the objects.
func (s set) pods() map[string]corev1.PodTemplateSpec {
	found := map[string]corev1.PodTemplateSpec{}
	for _, o := range s {
		if pod := o.pod(); pod != nil {
			found[o.name()] = *pod
			if s, ok := o.body.(*appsv1.StatefulSet); ok { // with the label that the controller adds
				first := *pod.DeepCopy()
				first.Labels["statefulset.kubernetes.io/pod-name"] = s.Name + "-0"
				found[o.name()] = first
			}
		}
	}
	return found
}

// find returns the object of a type and name.
func find[T metav1.Object](t *testing.T, s set, name string) T {
	t.Helper()
	for _, body := range all[T](s) {
		if body.GetName() == name {
			return body
		}
	}
	var none T
	t.Fatalf("there is no %T %s", none, name)
	return none
}

// all returns the objects of a type.
func all[T metav1.Object](s set) []T {
	var found []T
	for _, o := range s {
		if body, ok := o.body.(T); ok {
			found = append(found, body)
		}
	}
	return found
}

func TestNamesAreUniqueWithinASet(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		seen := map[string]bool{}
		for _, o := range s {
			if name := o.name(); seen[name] || o.body.GetName() == "" {
				t.Errorf("%s: %q is there twice, or has no name", o.file, name)
			} else {
				seen[name] = true
			}
		}
	})
}
