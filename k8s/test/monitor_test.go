package test

import (
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

func TestMonitorsAreOfTheOperatorsType(t *testing.T) {
	found := 0
	for file := range renderings {
		for _, document := range documents(t, file) {
			if !strings.Contains(document, "\nkind: ServiceMonitor\n") {
				continue
			}
			found++
			var monitor monitoringv1.ServiceMonitor
			if err := yaml.UnmarshalStrict([]byte(document), &monitor); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if monitor.APIVersion != monitoringv1.SchemeGroupVersion.String() || len(monitor.Spec.Endpoints) != 1 {
				t.Errorf("%s: %+v", file, monitor)
			}
		}
	}
	if found == 0 {
		t.Error("no rendered file has a ServiceMonitor")
	}
}
