package test

import (
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func matches(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}

// selected lists the objects whose pods have the labels.
func (s set) selected(selector map[string]string) []string {
	var found []string
	for name, pod := range s.pods() {
		if matches(selector, pod.Labels) {
			found = append(found, name)
		}
	}
	return slices.Sorted(slices.Values(found))
}

// selector is how a controller finds its pods; nil for other kinds.
func (o object) selector() map[string]string {
	switch body := o.body.(type) {
	case *corev1.ReplicationController:
		return body.Spec.Selector
	case *appsv1.Deployment:
		return body.Spec.Selector.MatchLabels
	case *appsv1.StatefulSet:
		return body.Spec.Selector.MatchLabels
	}
	return nil
}

func TestControllersSelectTheirOwnPods(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		for _, o := range s {
			if selector := o.selector(); selector != nil && !slices.Equal(s.selected(selector), []string{o.name()}) {
				t.Errorf("%s selects the pods of %v", o.name(), s.selected(selector))
			}
		}
	})
}

func TestPodsAreSpreadAmongPodsOfTheirController(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		for name, pod := range s.pods() {
			for _, c := range pod.Spec.TopologySpreadConstraints {
				if got := s.selected(c.LabelSelector.MatchLabels); !slices.Equal(got, []string{name}) {
					t.Errorf("%s is spread among %v", name, got)
				}
			}
		}
	})
}

// opens reports whether a container of the pod opens the port.
func opens(pod corev1.PodSpec, port intstr.IntOrString) bool {
	for _, c := range pod.Containers {
		for _, p := range c.Ports {
			if intstr.FromString(p.Name) == port || intstr.FromInt32(p.ContainerPort) == port {
				return true
			}
		}
	}
	return false
}

func TestServicesReachAPortOfSomePod(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		for _, service := range all[*corev1.Service](s) {
			names := s.selected(service.Spec.Selector)
			if len(names) != 1 {
				t.Errorf("service %s reaches the pods of %v, want one", service.Name, names)
				continue
			}
			for _, port := range service.Spec.Ports {
				if !opens(s.pods()[names[0]].Spec, port.TargetPort) {
					t.Errorf("service %s: no container opens %s", service.Name, port.TargetPort.String())
				}
			}
		}
	})
}

func TestStatefulSetsNameTheirService(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		for _, body := range all[*appsv1.StatefulSet](s) {
			service := find[*corev1.Service](t, s, body.Spec.ServiceName)
			labels := maps.Clone(body.Spec.Template.Labels)
			labels["statefulset.kubernetes.io/pod-name"] = body.Name + "-0"
			if !matches(service.Spec.Selector, labels) {
				t.Errorf("service %s does not select the first pod of %s", service.Name, body.Name)
			}
			// A second replica of the embedded engine must not get requests: its
			// volume is another one.
			labels["statefulset.kubernetes.io/pod-name"] = body.Name + "-1"
			if isPithos(body.Spec.Template.Spec.Containers[0]) {
				if matches(service.Spec.Selector, labels) {
					t.Errorf("service %s leads to a second replica of %s", service.Name, body.Name)
				}
				if !slices.ContainsFunc(body.Spec.Template.Spec.Containers[0].Env, func(e corev1.EnvVar) bool {
					return e.Name == "PITHOS_POD" && e.ValueFrom != nil && e.ValueFrom.FieldRef.FieldPath == "metadata.name"
				}) {
					t.Errorf("a second replica of %s serves: PITHOS_POD is not set", body.Name)
				}
			}
		}
	})
}

func TestDisruptionBudgetsAllowOnePodAtATime(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		for _, budget := range all[*policyv1.PodDisruptionBudget](s) {
			if got := s.selected(budget.Spec.Selector.MatchLabels); len(got) != 1 {
				t.Errorf("budget %s selects %v", budget.Name, got)
			}
			if n := budget.Spec.MaxUnavailable; n == nil || n.IntValue() != 1 {
				t.Errorf("budget %s: %v", budget.Name, n)
			}
		}
	})
}

func TestTheAutoscalerAloneSetsTheNumberOfGateways(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		scaled := map[string]bool{}
		for _, scaler := range all[*autoscalingv2.HorizontalPodAutoscaler](s) {
			target := scaler.Spec.ScaleTargetRef
			if target.APIVersion != "apps/v1" || target.Kind != "Deployment" {
				t.Errorf("the autoscaler scales %+v", target)
			}
			if cpu := find[*appsv1.Deployment](t, s, target.Name).Spec.Template.Spec.Containers[0].Resources.Requests.Cpu(); cpu.IsZero() {
				t.Errorf("%s requests no CPU, to which the target relates", target.Name)
			}
			if *scaler.Spec.MinReplicas < 2 || scaler.Spec.MaxReplicas < *scaler.Spec.MinReplicas {
				t.Errorf("from %d to %d gateways", *scaler.Spec.MinReplicas, scaler.Spec.MaxReplicas)
			}
			scaled[target.Name] = true
		}
		for _, body := range all[*appsv1.Deployment](s) {
			if (body.Spec.Replicas == nil) != scaled[body.Name] {
				t.Errorf("deployment %s: replicas %v, autoscaler %v", body.Name, body.Spec.Replicas, scaled[body.Name])
			}
		}
	})
}

func TestIngressesReachTheServiceByBothStylesOfHost(t *testing.T) {
	found := 0
	eachSet(t, func(t *testing.T, s set) {
		for _, ingress := range all[*networkingv1.Ingress](s) {
			found++
			hosts := map[string]bool{}
			for _, rule := range ingress.Spec.Rules {
				hosts[rule.Host] = true
				backend := rule.HTTP.Paths[0].Backend.Service
				service := find[*corev1.Service](t, s, backend.Name)
				if service.Spec.Ports[0].Name != backend.Port.Name {
					t.Errorf("service %s has no port %s", backend.Name, backend.Port.Name)
				}
			}
			want := map[string]bool{"s3.example.com": true, "*.s3.example.com": true}
			if !maps.Equal(hosts, want) || !slices.Equal(ingress.Spec.TLS[0].Hosts, []string{"s3.example.com", "*.s3.example.com"}) {
				t.Errorf("hosts %v, certificate for %v", hosts, ingress.Spec.TLS[0].Hosts)
			}
			if got := ingress.Annotations["nginx.ingress.kubernetes.io/proxy-body-size"]; got != "0" {
				t.Errorf("the body is limited to %q", got)
			}
		}
	})
	if found == 0 {
		t.Error("no set has an Ingress")
	}
}

func TestNetworkPoliciesKnowTheirPodsAndPorts(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		for _, policy := range all[*networkingv1.NetworkPolicy](s) {
			pods := s.selected(policy.Spec.PodSelector.MatchLabels)
			if len(pods) == 0 {
				t.Errorf("policy %s selects no pod", policy.Name)
			}
			for _, rule := range policy.Spec.Ingress {
				for _, p := range rule.Ports {
					if !slices.ContainsFunc(pods, func(name string) bool { return opens(s.pods()[name].Spec, *p.Port) }) {
						t.Errorf("policy %s allows port %s, which no container of %v opens", policy.Name, p.Port, pods)
					}
				}
			}
			for _, rule := range policy.Spec.Egress {
				for _, to := range rule.To {
					if got := s.selected(to.PodSelector.MatchLabels); len(got) != 1 {
						t.Errorf("policy %s allows connections to %v", policy.Name, got)
					}
				}
			}
		}
	})
}

// allowed reports whether the policies allow a pod to connect to a port.
func allowed(s set, pod corev1.PodTemplateSpec, port int32) bool {
	for _, policy := range all[*networkingv1.NetworkPolicy](s) {
		if !matches(policy.Spec.PodSelector.MatchLabels, pod.Labels) {
			continue
		}
		for _, rule := range policy.Spec.Egress {
			for _, p := range rule.Ports {
				if p.Port.IntVal == port {
					return true
				}
			}
		}
	}
	return false
}

func TestNetworkPoliciesAllowDNSAndCassandraOnly(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		if len(all[*networkingv1.NetworkPolicy](s)) == 0 {
			return
		}
		cfg := settingsOf(t, s)
		for name, pod := range s.pods() {
			if !isPithos(pod.Spec.Containers[0]) || pod.Annotations["helm.sh/hook"] == "test" {
				continue // a client: no policy selects it
			}
			for port, want := range map[int32]bool{53: true, 9042: len(cfg.Bucketstore.Cluster) > 0, 443: false} {
				if got := allowed(s, pod, port); got != want {
					t.Errorf("%s may reach port %d: %v, want %v", name, port, got, want)
				}
			}
		}
	})
}

func TestServicesHaveTheDocumentedType(t *testing.T) {
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
		if s := find[*corev1.Service](t, plain(t), name); !check(s.Spec) {
			t.Errorf("service %s: %+v", name, s.Spec)
		}
	}
}
