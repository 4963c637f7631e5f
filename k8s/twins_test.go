package k8s

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// bare is a pod without what only names it: labels, references, and what
// differs between Cassandra's services.
func bare(t *testing.T, pod corev1.PodSpec) string {
	t.Helper()
	pod = *pod.DeepCopy()
	pod.TopologySpreadConstraints, pod.Volumes = nil, nil
	// The chart has one value for all of the time, and 10 s more.
	pod.TerminationGracePeriodSeconds = nil
	for i := range pod.InitContainers {
		bareContainer(&pod.InitContainers[i])
	}
	for i := range pod.Containers {
		bareContainer(&pod.Containers[i])
	}
	text, err := json.MarshalIndent(pod, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func bareContainer(c *corev1.Container) {
	if !isPithos(*c) {
		c.ImagePullPolicy = ""
	}
	env := map[string]corev1.EnvVar{}
	for _, e := range c.Env {
		if e.Name != "SERVICE" {
			env[e.Name] = e
		}
	}
	c.Env = nil
	for _, name := range []string{"PITHOS_LISTEN", "PITHOS_DATA", "PITHOS_ACCESS_KEY", "PITHOS_MASTER_KEY", "MAX_HEAP_SIZE", "CASSANDRA_DC", "CASSANDRA_LISTEN_ADDRESS", "HOME"} {
		if e, ok := env[name]; ok {
			c.Env = append(c.Env, e)
		}
	}
}

func TestTheChartMakesThePodsOfTheKustomization(t *testing.T) {
	kustomization, chart := decodeFile(t, renderedFile("kustomize-cassandra")), decodeFile(t, renderedFile("chart-cassandra"))
	for name, want := range map[string]corev1.PodSpec{
		"gateways":  find[*appsv1.Deployment](t, kustomization, "pithos").Spec.Template.Spec,
		"cassandra": find[*appsv1.StatefulSet](t, kustomization, "cassandra").Spec.Template.Spec,
		"bootstrap": find[*batchv1.Job](t, kustomization, "pithos-bootstrap").Spec.Template.Spec,
	} {
		got := map[string]corev1.PodSpec{
			"gateways":  find[*appsv1.Deployment](t, chart, "pithos").Spec.Template.Spec,
			"cassandra": find[*appsv1.StatefulSet](t, chart, "pithos-cassandra").Spec.Template.Spec,
			"bootstrap": all[*batchv1.Job](chart)[0].Spec.Template.Spec,
		}[name]
		if a, b := bare(t, got), bare(t, want); a != b {
			t.Errorf("%s: the chart's pod\n%s\ndiffers from the kustomization's\n%s", name, a, b)
		}
	}
}
