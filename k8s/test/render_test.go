// Package test checks what runs Pithos on Kubernetes: the plain manifests of
// k8s/cassandra and k8s/pithos, the chart, and k8s/rendered, the chart's output
// for 'kubectl apply'. It holds them to the types of the Kubernetes API, to the
// pithos binary and to docs/kubernetes.md.
//
// It is a module of its own, so that the dependencies of these tests are not
// those of Pithos. To render k8s/rendered and testdata again, after a change of
// the chart:
//
//	cd k8s/test && go test -run TestTheChartRendersAsCommitted -update
package test

import (
	"bytes"
	"flag"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
)

var update = flag.Bool("update", false, "write the rendered files instead of comparing them")

const (
	chartDir    = "../../charts/pithos"
	renderedDir = "../rendered"
)

// renderings maps each committed file to the values that it is rendered from.
// Those of k8s/rendered are for users; those of testdata use every value.
var renderings = map[string]string{
	renderedDir + "/embedded.yaml":           renderedDir + "/embedded-values.yaml",
	renderedDir + "/cassandra.yaml":          renderedDir + "/cassandra-values.yaml",
	renderedDir + "/existing-cassandra.yaml": renderedDir + "/existing-cassandra-values.yaml",
	"testdata/embedded.yaml":                 chartDir + "/ci/embedded-values.yaml",
	"testdata/existing-cassandra.yaml":       chartDir + "/ci/existing-cassandra-values.yaml",
}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// render renders the chart as release pithos, and returns the text of each
// template by its path.
func render(t *testing.T, values chartutil.Values) (map[string]string, error) {
	t.Helper()
	c := loadChart(t)
	release := chartutil.ReleaseOptions{Name: "pithos", Namespace: "storage", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	e := engine.Engine{Strict: true}
	return e.Render(c, all)
}

// template joins rendered templates as 'helm template' prints them: manifests
// in the order of installation, then hooks.
func template(t *testing.T, rendered map[string]string) string {
	t.Helper()
	files := map[string]string{}
	for name, text := range rendered {
		if path.Ext(name) == ".yaml" {
			files[name] = text
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		t.Fatal(err)
	}
	var all, out bytes.Buffer
	for _, m := range manifests {
		fmt.Fprintf(&all, "---\n# Source: %s\n%s\n", m.Name, m.Content)
	}
	fmt.Fprintln(&out, strings.TrimSpace(all.String()))
	for _, h := range hooks {
		fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
	}
	return out.String()
}

// TestTheChartRendersAsCommitted holds the committed files to what the chart
// makes of their values.
func TestTheChartRendersAsCommitted(t *testing.T) {
	for file, valuesFile := range renderings {
		t.Run(file, func(t *testing.T) {
			values, err := chartutil.ReadValuesFile(valuesFile)
			if err != nil {
				t.Fatal(err)
			}
			rendered, err := render(t, values)
			if err != nil {
				t.Fatal(err)
			}
			if notes := rendered["pithos/templates/NOTES.txt"]; !strings.Contains(notes, "storage.svc:8080") {
				t.Errorf("the notes name no address: %s", notes)
			}
			got := header(valuesFile) + template(t, rendered)
			if *update {
				write(t, file, got)
				return
			}
			if want := text(t, file); got != want {
				t.Errorf("the chart renders %s differently, first here:\n%s\nTo keep the new text: go test -run TestTheChartRendersAsCommitted -update",
					file, firstDifference(got, want))
			}
		})
	}
}

// header is the comment at the head of a rendered file: the command that prints
// the rest of the file.
func header(valuesFile string) string {
	return "# Rendered from the chart; do not edit. The same for your own values:\n" +
		"#   helm template pithos charts/pithos --namespace storage -f " + path.Join("k8s/test", valuesFile) + "\n"
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "- " + w[i] + "\n+ " + g[i]
		}
	}
	return "one text is longer"
}

func TestEveryRenderedFileIsCompared(t *testing.T) {
	known := map[string]bool{}
	for file, values := range renderings {
		known[file], known[values] = true, true
	}
	for _, dir := range []string{renderedDir, "testdata", chartDir + "/ci"} {
		files, err := filepath.Glob(dir + "/*.yaml")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v %v", dir, files, err)
		}
		for _, file := range files {
			if !known[file] {
				t.Errorf("%s is neither compared nor rendered from", file)
			}
		}
	}
}
