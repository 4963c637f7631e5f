package k8s

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/pithos/pithos/config"
)

// imageHealthcheck is the command line of the image's health check.
func imageHealthcheck(t *testing.T) []string {
	t.Helper()
	found := regexp.MustCompile(`HEALTHCHECK .*CMD \["/usr/bin/pithos", "(\w+)"\]`).FindStringSubmatch(text(t, "../Dockerfile"))
	if found == nil {
		t.Fatal("the Dockerfile has no health check")
	}
	return found[1:]
}

func TestTheImageIsWhatManifestsExpect(t *testing.T) {
	file := text(t, "../Dockerfile")
	pod, _ := serving(t, told(t))
	user := strconv.FormatInt(*pod.SecurityContext.RunAsUser, 10)
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(text(t, "../go.mod"))[1]
	for _, want := range []string{
		"ARG GO_IMAGE=golang:" + goVersion + "\n", "FROM scratch\n", "CGO_ENABLED=0", "-trimpath",
		"USER " + user + ":" + user + "\n", "EXPOSE 8080\n", "PITHOS_LISTEN=0.0.0.0:8080 PITHOS_DATA=/data\n",
		"ENTRYPOINT [\"/usr/bin/pithos\"]\n", "CMD [\"serve\"]\n",
	} {
		if !strings.Contains(file, want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
}

func TestTheBuilderSaysForWhichMachineTheImageIs(t *testing.T) {
	file := text(t, "../Dockerfile")
	for _, name := range []string{"TARGETOS", "TARGETARCH"} {
		if !strings.Contains(file, "\nARG "+name+"\n") {
			t.Errorf("the Dockerfile does not take %s from the builder: a default there would win", name)
		}
	}
	if !strings.Contains(file, " GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build ") {
		t.Error("the binary is not built for the machine of the image")
	}
}

func TestTheBuildOfTheImageGetsEveryPackage(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../cmd/pithos").Output()
	if err != nil {
		t.Fatal(err)
	}
	kept := strings.Split(text(t, "../.dockerignore"), "\n")
	for path := range strings.Lines(string(out)) {
		folder, own := strings.CutPrefix(strings.TrimSpace(path), "github.com/pithos/pithos/")
		folder, _, _ = strings.Cut(folder, "/")
		if own && !slices.Contains(kept, "!"+folder) {
			t.Errorf(".dockerignore leaves %s out", folder)
		}
	}
}

// composed is what the tests read of a compose file.
type composed struct {
	Services map[string]struct {
		Image       string            `json:"image"`
		Build       string            `json:"build"`
		PullPolicy  string            `json:"pull_policy"`
		Command     []string          `json:"command"`
		Environment map[string]string `json:"environment"`
	} `json:"services"`
}

func TestImagesAreThoseOfTheDocumentation(t *testing.T) {
	documented := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| image").FindAllStringSubmatch(text(t, "../docs/kubernetes.md"), -1)
	var names []string
	for _, row := range documented {
		names = append(names, row[1])
	}
	used := map[string]string{}
	eachContainer(t, func(t *testing.T, o object, _ corev1.PodSpec, c corev1.Container) {
		if o.file != renderedFile("chart-existing-cassandra") { // which names a tag
			used[c.Image] = o.file
		}
	})
	for _, file := range []string{"../compose.yaml", "../compose.cassandra.yaml"} {
		for _, service := range compose(t, file).Services {
			used[service.Image] = file
		}
	}
	for image, file := range used {
		if !slices.Contains(names, image) {
			t.Errorf("%s: image %s is not among those of docs/kubernetes.md: %v", file, image, names)
		}
	}
	for _, name := range names {
		if used[name] == "" {
			t.Errorf("docs/kubernetes.md names image %s, which nothing uses", name)
		}
	}
}

func compose(t *testing.T, path string) composed {
	t.Helper()
	var c composed
	if err := yaml.Unmarshal([]byte(text(t, path)), &c); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

func TestComposeFilesSetVariablesThatExist(t *testing.T) {
	known := config.Reference()
	for _, file := range []string{"../compose.yaml", "../compose.cassandra.yaml"} {
		for name, service := range compose(t, file).Services {
			for variable := range service.Environment {
				if strings.HasPrefix(variable, "PITHOS_") && !strings.Contains(known, "| `"+variable+"` |") {
					t.Errorf("%s: service %s sets %s, which Pithos does not know", file, name, variable)
				}
			}
		}
	}
}

// TestNoRegistryIsAskedForTheImage holds that the image which is built here has
// a name that no registry can answer for, everywhere: an unqualified
// pithos/pithos is the one of whoever has that name at Docker Hub.
func TestNoRegistryIsAskedForTheImage(t *testing.T) {
	const name = "localhost/pithos"
	for _, file := range []string{"../compose.yaml", "../compose.cassandra.yaml"} {
		for service, s := range compose(t, file).Services {
			if s.Build != "" && (s.Image != name+":latest" || s.PullPolicy != "build") {
				t.Errorf("%s: service %s is %s, pull_policy %q", file, service, s.Image, s.PullPolicy)
			}
		}
	}
	unqualified := regexp.MustCompile(`(^|[^\w./@-])pithos/pithos([^\w./-]|$)`)
	for _, pattern := range []string{"../*.md", "../*.yaml", "../Dockerfile", "../docs/*.md", "../docs/*/*.md", "../charts/pithos/*", "../charts/pithos/templates/*",
		"*/*.yaml", "*/*/*.yaml", "*.sh", "*/*.sh"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.IsDir() || strings.HasSuffix(file, "CHANGELOG.md") {
				continue
			}
			if at := unqualified.FindString(text(t, file)); at != "" {
				t.Errorf("%s names an image without a registry: %q", file, at)
			}
		}
	}
}

// TestTheImageIsBuiltWithoutBuildKit holds that the Dockerfile asks for nothing
// that Docker's builder of old does not have.
func TestTheImageIsBuiltWithoutBuildKit(t *testing.T) {
	file := text(t, "../Dockerfile")
	for _, only := range []string{"RUN --mount", "COPY --link", "COPY --chmod", "ADD --checksum", "<<", "# syntax"} {
		if strings.Contains(file, only) {
			t.Errorf("%s needs BuildKit", only)
		}
	}
	if strings.Contains(file, "--platform=${BUILDPLATFORM} ") {
		t.Error("the platform is empty without BuildKit")
	}
}
