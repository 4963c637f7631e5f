package test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// imageHealthcheck is the command line of the image's health check.
func imageHealthcheck(t *testing.T) []string {
	t.Helper()
	found := regexp.MustCompile(`HEALTHCHECK .*CMD \["/usr/bin/pithos", "(\w+)"\]`).FindStringSubmatch(text(t, "../../Dockerfile"))
	if found == nil {
		t.Fatal("the Dockerfile has no health check")
	}
	return found[1:]
}

func TestPodsRunAsTheUserOfTheImage(t *testing.T) {
	eachSet(t, func(t *testing.T, s set) {
		pod, _ := serving(t, s)
		own := pod.SecurityContext
		if want := fmt.Sprintf("\nUSER %d:%d\n", *own.RunAsUser, *own.RunAsGroup); !strings.Contains(text(t, "../../Dockerfile"), want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	})
}

func TestImagesAreThoseOfTheDocumentation(t *testing.T) {
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| image").FindAllStringSubmatch(text(t, "../../docs/kubernetes.md"), -1) {
		names = append(names, row[1])
	}
	used := map[string]string{}
	eachContainer(t, func(t *testing.T, o object, _ corev1.PodSpec, c corev1.Container) {
		if o.file != "testdata/existing-cassandra.yaml" { // its values set a tag
			used[c.Image] = o.file
		}
	})
	for _, file := range []string{"../../compose.yaml", "../../compose.cassandra.yaml"} {
		for _, line := range regexp.MustCompile(`(?m)^ *image: (\S+)$`).FindAllStringSubmatch(text(t, file), -1) {
			used[line[1]] = file
		}
	}
	for image, file := range used {
		if !slices.Contains(names, image) {
			t.Errorf("%s: image %s is not among those of docs/kubernetes.md: %v", file, image, names)
		}
	}
	for _, name := range names {
		if used[name] == "" {
			t.Errorf("docs/kubernetes.md names image %s, which no manifest uses", name)
		}
	}
}
