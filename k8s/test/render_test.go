// Package test renders the kustomizations and the chart, with kustomize and
// Helm as libraries, into k8s/testdata/rendered. The tests of package k8s hold
// what is there to the API's types and to the binary. It is a module of its
// own, so that nothing else depends on those libraries.
package test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

var update = flag.Bool("update", false, "write what is rendered, in place of comparing it")

const chartDir = "../../charts/pithos"

// kustomized lists the kustomizations that are rendered, by the name of the
// result.
var kustomized = map[string]string{
	"kustomize-cassandra":          "../kustomize/overlays/cassandra",
	"kustomize-existing-cassandra": "../kustomize/overlays/existing-cassandra",
	"kustomize-embedded":           "../kustomize/overlays/embedded",
	"kustomize-components":         "testdata/components",
}

func TestKustomizationsRenderAsTheyDid(t *testing.T) {
	for name, dir := range kustomized {
		t.Run(name, func(t *testing.T) {
			built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
			if err != nil {
				t.Fatal(err)
			}
			text, err := built.AsYaml()
			if err != nil {
				t.Fatal(err)
			}
			compare(t, name, text)
		})
	}
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

// render renders the chart as 'helm template pithos' does.
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

// documents joins the manifests that templates made, in the order of their
// names.
func documents(rendered map[string]string) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		text := strings.TrimSpace(rendered[name])
		if path.Ext(name) != ".yaml" || text == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("---\n")
		}
		b.WriteString("# " + path.Base(name) + "\n" + text + "\n")
	}
	return b.Bytes()
}

func TestTheChartRendersAsItDid(t *testing.T) {
	files, err := filepath.Glob(chartDir + "/ci/*-values.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("values of the chart: %v %v", files, err)
	}
	for _, file := range files {
		name := "chart-" + strings.TrimSuffix(filepath.Base(file), "-values.yaml")
		t.Run(name, func(t *testing.T) {
			values, err := chartutil.ReadValuesFile(file)
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
			compare(t, name, documents(rendered))
		})
	}
}

// compare holds a rendering to the one that is kept.
func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("../testdata/rendered", name+".yaml")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("it is not what %s holds any more, from here on:\n%s\nTo keep it: go test -update", file, firstDifference(got, want))
	}
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "- " + w[i] + "\n+ " + g[i]
		}
	}
	return "one is longer"
}

func TestEveryRenderingIsMadeByATest(t *testing.T) {
	files, err := filepath.Glob("../testdata/rendered/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		values := filepath.Join(chartDir, "ci", strings.TrimPrefix(name, "chart-")+"-values.yaml")
		if _, err := os.Stat(values); kustomized[name] == "" && err != nil {
			t.Errorf("nothing makes %s: %v", file, err)
		}
	}
}
