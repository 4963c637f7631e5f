package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

func TestMonitorsAreOfTheOperatorsType(t *testing.T) {
	files, err := filepath.Glob("../testdata/rendered/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			if !strings.Contains(string(document), "\nkind: ServiceMonitor\n") {
				continue
			}
			found++
			var monitor monitoringv1.ServiceMonitor
			if err := yaml.UnmarshalStrict(document, &monitor); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if monitor.APIVersion != monitoringv1.SchemeGroupVersion.String() || len(monitor.Spec.Endpoints) != 1 {
				t.Errorf("%s: %+v", file, monitor)
			}
		}
	}
	if found < 2 {
		t.Errorf("%d monitors were looked at", found)
	}
}
