package k8s

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// testPod returns the pod that 'helm test' runs; nil where a set has none.
func testPod(s set) *corev1.Pod {
	for _, pod := range all[*corev1.Pod](s) {
		if pod.Annotations["helm.sh/hook"] == "test" {
			return pod
		}
	}
	return nil
}

func TestTheChartsTestAsksTheServiceThatClientsUse(t *testing.T) {
	found := 0
	eachSet(t, func(t *testing.T, s set) {
		pod := testPod(s)
		if pod == nil {
			return
		}
		found++
		container := pod.Spec.Containers[0]
		if container.Args[0] != "healthcheck" {
			t.Errorf("it runs %q", container.Args)
		}
		for _, service := range all[*corev1.Service](s) {
			if service.Spec.Ports[0].Name != "s3" {
				continue
			}
			want := corev1.EnvVar{Name: "PITHOS_LISTEN", Value: fmt.Sprintf("%s:%d", service.Name, service.Spec.Ports[0].Port)}
			if len(container.Env) != 1 || container.Env[0] != want {
				t.Errorf("it asks %v, want %v", container.Env, want)
			}
			if matches(service.Spec.Selector, pod.Labels) {
				t.Error("it would get requests of clients")
			}
		}
	})
	if found < 3 {
		t.Errorf("%d sets have a test", found)
	}
}
