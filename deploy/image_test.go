package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pithos/pithos/config"
)

func TestTheImageIsStaticAndStartsPithos(t *testing.T) {
	file := read(t, "../Dockerfile")
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))[1]
	for _, want := range []string{
		"ARG GO_IMAGE=golang:" + goVersion + "\n", "FROM scratch\n", "CGO_ENABLED=0", "-trimpath",
		"EXPOSE 8080\n", "PITHOS_LISTEN=0.0.0.0:8080 PITHOS_DATA=/data\n",
		"ENTRYPOINT [\"/usr/bin/pithos\"]\n", "CMD [\"serve\"]\n",
	} {
		if !strings.Contains(file, want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
}

func TestTheBuilderChoosesThePlatform(t *testing.T) {
	file := read(t, "../Dockerfile")
	for _, name := range []string{"TARGETOS", "TARGETARCH"} {
		if !strings.Contains(file, "\nARG "+name+"\n") {
			t.Errorf("the Dockerfile does not take %s from the builder: a default would override it", name)
		}
	}
	if !strings.Contains(file, " GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build ") {
		t.Error("the binary is not built for the platform of the image")
	}
}

func TestTheBuildOfTheImageGetsEveryPackage(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../cmd/pithos").Output()
	if err != nil {
		t.Fatal(err)
	}
	kept := strings.Split(read(t, "../.dockerignore"), "\n")
	for path := range strings.Lines(string(out)) {
		folder, own := strings.CutPrefix(strings.TrimSpace(path), "github.com/pithos/pithos/")
		folder, _, _ = strings.Cut(folder, "/")
		if own && !slices.Contains(kept, "!"+folder) {
			t.Errorf(".dockerignore leaves %s out", folder)
		}
	}
}

// composeFile is what the tests read of a compose file.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Build       string
		PullPolicy  string `yaml:"pull_policy"`
		Environment map[string]string
	}
}

func compose(t *testing.T, path string) composeFile {
	t.Helper()
	var c composeFile
	if err := yaml.Unmarshal([]byte(read(t, path)), &c); err != nil {
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

// TestNoRegistryIsAskedForTheImage holds that the image that is built here has a
// name that no registry can answer for: pithos/pithos without a registry is the
// image of the owner of that name at Docker Hub.
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
		"../k8s/*/*.yaml", "../k8s/*.sh", "packaging/*", "*/*.sh"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.IsDir() || strings.HasSuffix(file, "CHANGELOG.md") {
				continue
			}
			if at := unqualified.FindString(read(t, file)); at != "" {
				t.Errorf("%s names an image without a registry: %q", file, at)
			}
		}
	}
}

// TestTheImageIsBuiltWithoutBuildKit holds that the Dockerfile uses no feature
// that Docker's classic builder lacks.
func TestTheImageIsBuiltWithoutBuildKit(t *testing.T) {
	file := read(t, "../Dockerfile")
	for _, only := range []string{"RUN --mount", "COPY --link", "COPY --chmod", "ADD --checksum", "<<", "# syntax"} {
		if strings.Contains(file, only) {
			t.Errorf("%s needs BuildKit", only)
		}
	}
	if strings.Contains(file, "--platform=${BUILDPLATFORM} ") {
		t.Error("the platform is empty without BuildKit")
	}
}
