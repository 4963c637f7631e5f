//go:build unix

package clienttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

// gitlabFiles are the files of docs/clients/gitlab.md, and what holds each.
var gitlabFiles = map[string]string{
	"gitlab.rb":   "TestGitLabsLibraryStores", // its registry is GitLab's own, which no test has
	"config.yml":  "TestTheRegistryKeepsImages",
	"config.toml": "", // of the runner, which no test has
}

func TestThePageOfGitLabHasKnownFiles(t *testing.T) {
	s := s3test.Start(t, s3test.Embedded)
	var found []string
	for _, b := range page(t, s, "gitlab.md") {
		file := b.File()
		if _, known := gitlabFiles[file]; !known && b.Language != "sh" && b.Language != "ruby" {
			t.Errorf("line %d: nothing is known of this block:\n%s", b.Line, b.Text)
		}
		found = append(found, file)
	}
	for file := range gitlabFiles {
		if !slices.Contains(found, file) {
			t.Errorf("the page has no %s", file)
		}
	}
	if len(found) != 5 {
		t.Errorf("the page has %d blocks, of which 5 are known", len(found))
	}
}

// TestGitLabsLibraryStores has fog-aws, by which GitLab's Rails part stores,
// take the connection and the buckets of gitlab.rb.
func TestGitLabsLibraryStores(t *testing.T) {
	ruby := program(t, "ruby")
	if out, err := exec.Command(ruby, "-W0", "-e", `require "fog/aws"`).CombinedOutput(); err != nil {
		t.Skipf("%s has no fog-aws (Debian: ruby-fog-aws): %v\n%s", ruby, err, out)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "fog.rb"))
	if err != nil {
		t.Fatal(err)
	}
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		c := newClient(t, ruby)
		settings := ""
		for _, b := range page(t, s, "gitlab.md") {
			if b.Language == "ruby" {
				settings += b.Text
			}
		}
		c.file(t, "gitlab.rb", []byte(settings))
		c.file(t, "fog.rb", script)
		t.Cleanup(func() {
			for _, bucket := range regexp.MustCompile(`'(gitlab-[a-z-]+)'`).FindAllStringSubmatch(settings, -1) {
				s.Remove(t, bucket[1])
			}
		})
		out, err := c.try(t, nil, "-W0", "fog.rb")
		if n := report(t, out); err != nil || n < 15 {
			t.Errorf("%d behaviours were reported: %v\n%s", n, err, out)
		}
	})
}

// TestTheRegistryKeepsImages runs CNCF Distribution with config.yml, with
// redirects to signed URLs and without.
func TestTheRegistryKeepsImages(t *testing.T) {
	for _, redirects := range []bool{true, false} {
		t.Run(fmt.Sprintf("redirects %t", redirects), func(t *testing.T) {
			applications(t, "gitlab.md", "registry", func(t *testing.T, a application) { runRegistry(t, a, redirects) },
				"OTEL_TRACES_EXPORTER=none", "REGISTRY_STORAGE_REDIRECT_DISABLE="+strconv.FormatBool(!redirects))
		})
	}
}

func runRegistry(t *testing.T, a application, redirects bool) {
	const bucket, address = "gitlab-registry", "127.0.0.1:5000"
	a.s.Remove(t, bucket)
	if r, body := a.s.Do(t, s3test.Alice2, "PUT", "/"+bucket, nil); r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, body)
	}
	t.Cleanup(func() { a.s.Remove(t, bucket) })
	port := strconv.Itoa(freePort(t))
	command := ""
	for _, b := range a.blocks {
		if b.File() == "config.yml" {
			a.file(t, "config.yml", []byte(strings.Replace(b.Text, address, "127.0.0.1:"+port, 1)))
		}
		if b.Language == "sh" {
			command += b.Text
		}
	}
	r := registry{t, "http://127.0.0.1:" + port}
	run := a.start(t, "exec "+command)
	until(t, "the registry answers", run, func() bool { return r.ask("GET", "/v2/", nil).code == http.StatusOK })

	config, layer, lost := []byte(`{"architecture":"amd64","os":"linux"}`), noise(31*mib), []byte("in no manifest")
	r.push("library/one", config, 0)
	r.push("library/one", layer, 7*mib)
	r.push("library/one", lost, 0)
	manifest := manifestOf(config, layer)
	got := r.ask("PUT", "/v2/library/one/manifests/latest", manifest, "Content-Type", manifestType)
	if got.code != http.StatusCreated {
		t.Fatalf("manifest: %d %s", got.code, got.body)
	}
	r.holds("/v2/library/one/manifests/latest", manifest)
	r.holds("/v2/library/one/blobs/"+digest(layer), layer)
	if via := r.answeredBy("/v2/library/one/blobs/" + digest(layer)); (via == a.s.URL) != redirects {
		t.Errorf("layers come from %s", via)
	}
	if got := r.ask("GET", "/v2/library/one/blobs/"+digest(layer), nil, "Range", "bytes=1000-1999"); got.code != 206 || !bytes.Equal(got.body, layer[1000:2000]) {
		t.Errorf("a range: %d, %d bytes", got.code, len(got.body))
	}
	if got := r.ask("POST", "/v2/library/two/blobs/uploads/?mount="+digest(layer)+"&from=library/one", nil); got.code != http.StatusCreated {
		t.Errorf("mount: %d %s", got.code, got.body)
	}
	r.holds("/v2/library/two/blobs/"+digest(layer), layer)
	for path, want := range map[string]string{"_catalog": `{"repositories":["library/one"]}`, "library/one/tags/list": `{"name":"library/one","tags":["latest"]}`} {
		if got := r.ask("GET", "/v2/"+path, nil); strings.TrimSpace(string(got.body)) != want {
			t.Errorf("%s: %s, want %s", path, got.body, want)
		}
	}
	run.stop(t)
	contains(t, a.shell(t, "registry garbage-collect --delete-untagged config.yml"), "blob eligible for deletion: "+digest(lost))
	again := a.start(t, "exec "+command)
	until(t, "the registry answers again", again, func() bool { return r.ask("GET", "/v2/", nil).code == http.StatusOK })
	r.holds("/v2/library/one/blobs/"+digest(layer), layer)
	if got := r.ask("GET", "/v2/library/one/blobs/"+digest(lost), nil); got.code != http.StatusNotFound {
		t.Errorf("collected: %d", got.code)
	}
	again.stop(t)
	if _, body := a.s.Do(t, s3test.Alice2, "GET", "/"+bucket+"?uploads", nil); strings.Contains(string(body), "<Upload>") {
		t.Errorf("uploads are left: %s", body)
	}
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func manifestOf(config, layer []byte) []byte {
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType,
		"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
		"layers": []any{map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}}})
	if err != nil {
		panic(err) // strings and numbers
	}
	return text
}

// registry is a registry, as its clients see it.
type registry struct {
	t   *testing.T
	url string
}

type answer struct {
	code   int // 0 without an answer
	body   []byte
	header http.Header
	from   string // scheme and host of who has answered, after redirects
}

func (r registry) ask(method, target string, body []byte, header ...string) answer {
	r.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = r.url + target
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{body: []byte(err.Error())}
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, data, resp.Header, resp.Request.URL.Scheme + "://" + resp.Request.URL.Host}
}

func (r registry) answeredBy(path string) string { return r.ask("GET", path, nil).from }

func (r registry) holds(path string, want []byte) {
	r.t.Helper()
	if got := r.ask("GET", path, nil, "Accept", manifestType); got.code != http.StatusOK || !bytes.Equal(got.body, want) {
		r.t.Errorf("%s: %d, %d bytes, want %d", path, got.code, len(got.body), len(want))
	}
}

// push uploads a blob, in pieces of that size, or at once.
func (r registry) push(repository string, blob []byte, piece int) {
	r.t.Helper()
	got := r.ask("POST", "/v2/"+repository+"/blobs/uploads/", nil)
	rest := blob
	for piece > 0 && len(rest) > piece && got.code == http.StatusAccepted {
		from := len(blob) - len(rest)
		got = r.ask("PATCH", got.header.Get("Location"), rest[:piece], "Content-Type", "application/octet-stream",
			"Content-Range", fmt.Sprintf("%d-%d", from, from+piece-1))
		rest = rest[piece:]
	}
	if got.code != http.StatusAccepted {
		r.t.Fatalf("upload: %d %s", got.code, got.body)
	}
	got = r.ask("PUT", got.header.Get("Location")+"&digest="+digest(blob), rest, "Content-Type", "application/octet-stream")
	if got.code != http.StatusCreated {
		r.t.Fatalf("end of upload: %d %s", got.code, got.body)
	}
}
