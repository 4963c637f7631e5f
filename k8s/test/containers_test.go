package test

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func yes(b *bool) bool { return b != nil && *b }
func no(b *bool) bool  { return b != nil && !*b }

func TestPodsHaveNoPrivilege(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		for name, pod := range s.pods() {
			checkPod(t, name, pod.Spec)
		}
	})
}

func checkPod(t *testing.T, name string, s corev1.PodSpec) {
	t.Helper()
	own := s.SecurityContext
	for rule, held := range map[string]bool{
		"runs as a user that is not root": own != nil && yes(own.RunAsNonRoot) && own.RunAsUser != nil && *own.RunAsUser > 0,
		"has the runtime's seccomp filter": own != nil && own.SeccompProfile != nil &&
			own.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"gets no token of the API":        no(s.AutomountServiceAccountToken),
		"gets no variables of services":   no(s.EnableServiceLinks),
		"shares nothing with the node":    !s.HostNetwork && !s.HostPID && !s.HostIPC,
		"mounts no directory of the node": !slices.ContainsFunc(s.Volumes, isHostPath),
	} {
		if !held {
			t.Errorf("the pod of %s violates: it %s", name, rule)
		}
	}
}

func isHostPath(v corev1.Volume) bool { return v.HostPath != nil }

// eachContainer calls check for every container of every set, init containers
// included; o is the object that makes its pod.
func eachContainer(t *testing.T, check func(t *testing.T, o object, pod corev1.PodSpec, c corev1.Container)) {
	t.Helper()
	eachSet(t, func(t *testing.T, s set) {
		for _, o := range s {
			if pod := o.pod(); pod != nil {
				for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
					check(t, o, pod.Spec, c)
				}
			}
		}
	})
}

func TestContainersHaveNoPrivilege(t *testing.T) {
	eachContainer(t, func(t *testing.T, o object, _ corev1.PodSpec, c corev1.Container) {
		s := c.SecurityContext
		if s == nil {
			t.Errorf("%s: container %s has no security context", o.name(), c.Name)
			return
		}
		for rule, held := range map[string]bool{
			"cannot gain privileges":      no(s.AllowPrivilegeEscalation) && !yes(s.Privileged),
			"cannot write its image":      yes(s.ReadOnlyRootFilesystem),
			"has no capability":           s.Capabilities != nil && slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(s.Capabilities.Add) == 0,
			"has the user of its pod":     s.RunAsUser == nil && s.RunAsNonRoot == nil && s.SeccompProfile == nil,
			"opens no port of its node":   !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.HostPort != 0 }),
			"keeps the runtime's devices": len(c.VolumeDevices) == 0,
		} {
			if !held {
				t.Errorf("%s: container %s violates: it %s", o.name(), c.Name, rule)
			}
		}
	})
}

func TestContainersHaveRequestsAndALimitOfMemory(t *testing.T) {
	eachContainer(t, func(t *testing.T, o object, _ corev1.PodSpec, c corev1.Container) {
		cpu, memory, limit := c.Resources.Requests.Cpu(), c.Resources.Requests.Memory(), c.Resources.Limits.Memory()
		if cpu.IsZero() || memory.IsZero() || limit.Cmp(*memory) < 0 {
			t.Errorf("%s: container %s requests cpu %s, memory %s of at most %s", o.name(), c.Name, cpu, memory, limit)
		}
	})
}

func TestMountsNameVolumes(t *testing.T) {
	eachContainer(t, func(t *testing.T, o object, pod corev1.PodSpec, c corev1.Container) {
		var volumes []string
		for _, v := range pod.Volumes {
			volumes = append(volumes, v.Name)
		}
		if body, ok := o.body.(*appsv1.StatefulSet); ok {
			for _, claim := range body.Spec.VolumeClaimTemplates {
				volumes = append(volumes, claim.Name)
			}
		}
		for _, m := range c.VolumeMounts {
			if !slices.Contains(volumes, m.Name) {
				t.Errorf("%s: container %s mounts %s, which is no volume", o.name(), c.Name, m.Name)
			}
		}
	})
}

func TestControlledContainersAreProbedAtAPortTheyOpen(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		for _, o := range s {
			if o.selector() == nil {
				continue
			}
			for _, c := range o.pod().Spec.Containers {
				if c.LivenessProbe == nil || c.ReadinessProbe == nil {
					t.Errorf("%s: container %s lacks a probe", o.name(), c.Name)
				}
				for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
					if probe != nil && !opens(corev1.PodSpec{Containers: []corev1.Container{c}}, probedPort(probe)) {
						t.Errorf("%s: container %s is probed at a port that it does not name: %+v", o.name(), c.Name, probe.ProbeHandler)
					}
				}
			}
		}
	})
}

// existing lists the objects that the pods of a set can refer to.
func existing(s set) map[string]bool {
	names := map[string]bool{}
	for _, o := range s {
		names[o.name()] = true
	}
	// The operator creates these.
	for _, secret := range []string{"pithos-keys", "demo-superuser"} {
		names["Secret "+secret] = true
	}
	return names
}

func TestPodsReferToObjectsThatExist(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		have := existing(s)
		for name, pod := range s.pods() {
			for _, need := range references(pod.Spec) {
				if !have[need] {
					t.Errorf("%s: nothing creates %s", name, need)
				}
			}
		}
	})
}

// references lists the ConfigMaps and Secrets that a pod reads.
func references(pod corev1.PodSpec) []string {
	var names []string
	for _, v := range pod.Volumes {
		if v.ConfigMap != nil {
			names = append(names, "ConfigMap "+v.ConfigMap.Name)
		}
	}
	for _, c := range pod.Containers {
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				names = append(names, "Secret "+e.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	return names
}

func probedPort(p *corev1.Probe) intstr.IntOrString {
	switch {
	case p.HTTPGet != nil:
		return p.HTTPGet.Port
	case p.TCPSocket != nil:
		return p.TCPSocket.Port
	}
	return intstr.IntOrString{}
}
