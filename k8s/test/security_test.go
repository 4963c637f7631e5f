package test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// manifestFiles lists everything that is created on a cluster.
func manifestFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"../cassandra/*.yaml", "../pithos/*.yaml", "../testdata/rendered/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	return files
}

// podOf returns the pod that a document makes, nil if it makes none.
func podOf(t *testing.T, document []byte) *corev1.PodTemplateSpec {
	t.Helper()
	into := func(body any) {
		if err := yaml.Unmarshal(document, body); err != nil {
			t.Fatal(err)
		}
	}
	var kind metav1.TypeMeta
	into(&kind)
	switch kind.Kind {
	case "Pod":
		var body corev1.Pod
		into(&body)
		return &corev1.PodTemplateSpec{ObjectMeta: body.ObjectMeta, Spec: body.Spec}
	case "ReplicationController":
		var body corev1.ReplicationController
		into(&body)
		return body.Spec.Template
	case "Deployment":
		var body appsv1.Deployment
		into(&body)
		return &body.Spec.Template
	case "StatefulSet":
		var body appsv1.StatefulSet
		into(&body)
		return &body.Spec.Template
	case "Job":
		var body batchv1.Job
		into(&body)
		return &body.Spec.Template
	}
	return nil
}

func TestPodsAreWithinTheRestrictedPodSecurityStandard(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	found := 0
	for _, file := range manifestFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			pod := podOf(t, document)
			if pod == nil {
				continue
			}
			found++
			for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
				if !result.Allowed {
					t.Errorf("%s: %s: %s", file, result.ForbiddenReason, result.ForbiddenDetail)
				}
			}
		}
	}
	if found < 12 {
		t.Errorf("%d pods were looked at", found)
	}
}
