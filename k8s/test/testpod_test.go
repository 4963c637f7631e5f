package test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// testPod returns the pod that 'helm test' runs; nil if a set has none.
func testPod(s set) *corev1.Pod {
	for _, pod := range all[*corev1.Pod](s) {
		if pod.Annotations["helm.sh/hook"] == "test" {
			return pod
		}
	}
	return nil
}

func TestTheTestPodAsksTheServiceThatClientsUse(t *testing.T) {
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
				t.Error("the service sends requests of clients to it")
			}
		}
	})
	if found != 2 { // those of testdata
		t.Errorf("%d sets have a test pod", found)
	}
}
