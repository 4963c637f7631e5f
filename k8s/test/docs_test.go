package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// sequence is the commands of docs/kubernetes.md that start with an empty cluster
// and end with a service.
func sequence(t *testing.T) []string {
	t.Helper()
	_, rest, _ := strings.Cut(text(t, "../../docs/kubernetes.md"), "## From nothing to a service\n\n")
	block, _, _ := strings.Cut(rest, "\n\n")
	var commands []string
	for line := range strings.Lines(block) {
		commands = append(commands, strings.TrimSpace(line))
	}
	return commands
}

// created lists what the sequence creates: kind, name and key of each entry of
// ConfigMaps and Secrets.
func created(t *testing.T) []string {
	t.Helper()
	var entries []string
	literal := regexp.MustCompile(`--from-literal=([\w-]+)=`)
	for _, command := range sequence(t) {
		if name, found := strings.CutPrefix(command, "kubectl create secret generic "); found {
			for _, key := range literal.FindAllStringSubmatch(command, -1) {
				entries = append(entries, "secret "+strings.Fields(name)[0]+" "+key[1])
			}
		}
		path, found := strings.CutPrefix(command, "kubectl create -f k8s/")
		if !found {
			continue
		}
		for _, o := range decodeFile(t, "../"+path) {
			if m, ok := o.body.(*corev1.ConfigMap); ok {
				for key := range m.Data {
					entries = append(entries, "config "+m.Name+" "+key)
				}
			}
		}
	}
	return entries
}

func TestTheDocumentedSequenceIsComplete(t *testing.T) {
	made := created(t)
	need := func(file, what string) {
		if !slices.ContainsFunc(made, func(m string) bool { return m == what || strings.HasPrefix(m, what+" ") }) {
			t.Errorf("%s needs %s, which the sequence does not create: %v", file, what, made)
		}
	}
	for _, o := range plain(t) {
		if o.pod() == nil {
			continue
		}
		file, pod := strings.TrimPrefix(o.file, "../"), o.pod()
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

func TestTheTemplateOfTheSecretHasTheKeysOfTheSequence(t *testing.T) {
	template := find[*corev1.Secret](t, plain(t), "pithos-keys")
	for _, made := range created(t) {
		if key, found := strings.CutPrefix(made, "secret "+template.Name+" "); found && template.StringData[key] == "" {
			t.Errorf("the template lacks %s", key)
		}
	}
}

// TestTheSequenceIsTheOneOf2015 holds the commands with which the first version
// of Pithos was presented on Kubernetes: further ones may stand between them.
func TestTheSequenceIsTheOneOf2015(t *testing.T) {
	want := []string{
		"kubectl create -f k8s/cassandra/cassandra-controller.yaml",
		"kubectl create -f k8s/cassandra/cassandra-service.yaml",
		"kubectl scale --replicas=4 rc cassandra",
		"kubectl create -f k8s/pithos/pithos-bootstrap.yaml",
		"kubectl create -f k8s/pithos/pithos-rc.yaml",
		"kubectl create -f k8s/pithos/spithos.yaml",
	}
	next := 0
	for _, command := range sequence(t) {
		if next < len(want) && command == want[next] {
			next++
		}
	}
	if next < len(want) {
		t.Errorf("%q is missing, or in the wrong order", want[next])
	}
}

func TestTheDocumentationNamesEveryManifestAndNoOther(t *testing.T) {
	page := text(t, "../../docs/kubernetes.md")
	files := map[string]bool{}
	for _, o := range plain(t) {
		files[o.file] = true
	}
	for file := range renderings {
		if strings.HasPrefix(file, renderedDir) {
			files[file] = true
		}
	}
	for file := range files {
		if name := "k8s/" + strings.TrimPrefix(filepath.ToSlash(file), "../"); !strings.Contains(page, "| `"+name+"` |") {
			t.Errorf("docs/kubernetes.md does not say what %s is", name)
		}
	}
	for _, found := range regexp.MustCompile(`k8s/[\w/-]+\.yaml`).FindAllString(page, -1) {
		if _, err := os.Stat("../" + strings.TrimPrefix(found, "k8s/")); err != nil {
			t.Errorf("docs/kubernetes.md names %s: %v", found, err)
		}
	}
}
