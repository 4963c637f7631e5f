package k8s

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// sequence is the commands of docs/kubernetes.md from nothing to a service.
func sequence(t *testing.T) []string {
	t.Helper()
	_, rest, _ := strings.Cut(text(t, "../docs/kubernetes.md"), "## From nothing to a service\n\n")
	block, _, _ := strings.Cut(rest, "\n\n")
	var commands []string
	for line := range strings.Lines(block) {
		commands = append(commands, strings.TrimSpace(line))
	}
	return commands
}

// created lists what the sequence makes: kind, name and key of each entry of
// ConfigMaps and Secrets.
func created(t *testing.T) []string {
	t.Helper()
	var made []string
	literal := regexp.MustCompile(`--from-literal=([\w-]+)=`)
	for _, command := range sequence(t) {
		if name, found := strings.CutPrefix(command, "kubectl create secret generic "); found {
			for _, key := range literal.FindAllStringSubmatch(command, -1) {
				made = append(made, "secret "+strings.Fields(name)[0]+" "+key[1])
			}
		}
		path, found := strings.CutPrefix(command, "kubectl create -f k8s/")
		if !found {
			continue
		}
		for _, o := range decodeFile(t, path) {
			if m, ok := o.body.(*corev1.ConfigMap); ok {
				for key := range m.Data {
					made = append(made, "config "+m.Name+" "+key)
				}
			}
		}
	}
	return made
}

func TestTheDocumentedSequenceIsComplete(t *testing.T) {
	made := created(t)
	need := func(file, what string) {
		if !slices.ContainsFunc(made, func(m string) bool { return m == what || strings.HasPrefix(m, what+" ") }) {
			t.Errorf("%s needs %s, which the sequence does not make: %v", file, what, made)
		}
	}
	for _, o := range told(t) {
		if o.pod() == nil {
			continue
		}
		file, pod := o.file, o.pod()
		if !slices.Contains(sequence(t), "kubectl create -f k8s/"+file) {
			t.Errorf("the sequence does not create %s", file)
		}
		for _, v := range pod.Spec.Volumes {
			if v.ConfigMap != nil {
				need(file, "config "+v.ConfigMap.Name)
			}
		}
		for _, c := range pod.Spec.Containers {
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
					need(file, "secret "+e.ValueFrom.SecretKeyRef.Name+" "+e.ValueFrom.SecretKeyRef.Key)
				}
			}
		}
	}
}

func TestTheFormOfTheSecretHasTheKeysOfTheSequence(t *testing.T) {
	form := find[*corev1.Secret](t, told(t), "pithos-keys")
	for _, made := range created(t) {
		if key, found := strings.CutPrefix(made, "secret "+form.Name+" "); found && form.StringData[key] == "" {
			t.Errorf("the form lacks %s", key)
		}
	}
}

func TestTheSequenceIsAsItWasTold(t *testing.T) {
	told := []string{
		"kubectl create -f k8s/cassandra/cassandra-controller.yaml",
		"kubectl create -f k8s/cassandra/cassandra-service.yaml",
		"kubectl scale --replicas=4 rc cassandra",
		"kubectl create -f k8s/pithos/pithos-bootstrap.yaml",
		"kubectl create -f k8s/pithos/pithos-rc.yaml",
		"kubectl create -f k8s/pithos/spithos.yaml",
	}
	next := 0
	for _, command := range sequence(t) {
		if next < len(told) && command == told[next] {
			next++
		}
	}
	if next < len(told) {
		t.Errorf("%q is missing, or out of its turn", told[next])
	}
}

func TestTheDocumentationNamesEveryManifestAndNoOther(t *testing.T) {
	page := text(t, "../docs/kubernetes.md")
	for _, o := range told(t) {
		if !strings.Contains(page, "| `k8s/"+filepath.ToSlash(o.file)+"` |") {
			t.Errorf("docs/kubernetes.md does not say what k8s/%s is", o.file)
		}
	}
	for _, found := range regexp.MustCompile(`k8s/[\w/-]+\.yaml`).FindAllString(page, -1) {
		if _, err := os.Stat(strings.TrimPrefix(found, "k8s/")); err != nil {
			t.Errorf("docs/kubernetes.md names %s: %v", found, err)
		}
	}
}
