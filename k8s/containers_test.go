package k8s

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func yes(b *bool) bool { return b != nil && *b }
func no(b *bool) bool  { return b != nil && !*b }

func TestPodsHaveNoPrivilege(t *testing.T) {
	for file, pod := range pods(t) {
		s := pod.Spec
		own := s.SecurityContext
		for rule, held := range map[string]bool{
			"runs as a user that is not root": own != nil && yes(own.RunAsNonRoot) && own.RunAsUser != nil && *own.RunAsUser > 0,
			"has the runtime's seccomp filter": own != nil && own.SeccompProfile != nil &&
				own.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
			"gets no token of the API":         no(s.AutomountServiceAccountToken),
			"gets no variables of services":    no(s.EnableServiceLinks),
			"shares nothing with the node":     !s.HostNetwork && !s.HostPID && !s.HostIPC,
			"mounts nothing but its own files": !slices.ContainsFunc(s.Volumes, fromTheNode),
		} {
			if !held {
				t.Errorf("%s: it does not hold that the pod %s", file, rule)
			}
		}
	}
}

func fromTheNode(v corev1.Volume) bool { return v.HostPath != nil }

// eachContainer calls check for every container, those of the start included.
func eachContainer(t *testing.T, check func(file string, pod corev1.PodSpec, c corev1.Container)) {
	t.Helper()
	for file, pod := range pods(t) {
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			check(file, pod.Spec, c)
		}
	}
}

func TestContainersHaveNoPrivilege(t *testing.T) {
	eachContainer(t, func(file string, _ corev1.PodSpec, c corev1.Container) {
		s := c.SecurityContext
		if s == nil {
			t.Errorf("%s: container %s has no security context", file, c.Name)
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
				t.Errorf("%s: it does not hold that container %s %s", file, c.Name, rule)
			}
		}
	})
}

func TestContainersSayWhatTheyNeed(t *testing.T) {
	eachContainer(t, func(file string, _ corev1.PodSpec, c corev1.Container) {
		cpu, memory, limit := c.Resources.Requests.Cpu(), c.Resources.Requests.Memory(), c.Resources.Limits.Memory()
		if cpu.IsZero() || memory.IsZero() || limit.Cmp(*memory) < 0 {
			t.Errorf("%s: container %s requests cpu %s, memory %s of at most %s", file, c.Name, cpu, memory, limit)
		}
	})
}

func TestMountsNameVolumes(t *testing.T) {
	eachContainer(t, func(file string, pod corev1.PodSpec, c corev1.Container) {
		for _, m := range c.VolumeMounts {
			if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
				t.Errorf("%s: container %s mounts %s, which is no volume", file, c.Name, m.Name)
			}
		}
	})
}

func TestControlledContainersAreProbedAtAPortTheyOpen(t *testing.T) {
	for _, o := range manifests(t) {
		rc, ok := o.body.(*corev1.ReplicationController)
		if !ok {
			continue
		}
		for _, c := range rc.Spec.Template.Spec.Containers {
			if c.LivenessProbe == nil || c.ReadinessProbe == nil {
				t.Errorf("%s: container %s lacks a probe", o.file, c.Name)
			}
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
				if probe != nil && !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return intstr.FromString(p.Name) == probedPort(probe) }) {
					t.Errorf("%s: container %s is probed at a port that it does not name: %+v", o.file, c.Name, probe.ProbeHandler)
				}
			}
		}
	}
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
