package docs

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/markdown"
)

// held says what holds the code of a section of a page.
type held struct {
	section string // all of the page where empty
	blocks  int    // so many, where the test does not itself see to it that it runs them all
	// by is the test that takes the code from the page and runs it, or holds it
	// to what it describes: its folder and name.
	by string
	// why there is none, or when it is skipped.
	why string
}

const (
	clients = "internal/clienttest TestCommandsOfTheClientPagesWork"
	cluster = "k8s/test TestTheDocumentedCommandsRunOnACluster"
)

// code lists all code of the project's pages. Who adds a block adds it here,
// with the test that runs it.
var code = map[string][]held{
	"README.md": {
		{section: "On a laptop", by: "cmd/pithos TestLaptopQuickStartWorks"},
		{section: "On Cassandra", by: "cmd/pithos TestCassandraQuickStartWorks"},
		{section: "In containers", by: "deploy TestTheDocumentedContainerServes", why: "PITHOS_TEST_DOCKER"},
		{section: "Clients", by: "internal/clienttest TestREADMEsS3cfgWorks"},
		{section: "Structure", blocks: 1, why: "a picture"},
		{section: "Tests", blocks: 1, why: "it is what runs this test"},
	},
	"ARCHITECTURE.md":           {{section: "The way of a request", blocks: 1, why: "a picture"}},
	"CONTRIBUTING.md":           {{section: "Commits", blocks: 1, why: "the form of a message"}},
	"docs/clients/README.md":    {{by: "cmd/pithos TestTheServerOfTheClientPagesServes"}},
	"docs/clients/aws-cli.md":   {{by: clients}},
	"docs/clients/boto.md":      {{by: "internal/clienttest TestScriptsOfThePageOfBotoWork"}},
	"docs/clients/gitlab.md":    {{by: "internal/clienttest TestGitLabsLibraryStores"}},
	"docs/clients/hadoop.md":    {{by: "internal/clienttest TestHadoopsFileSystemWorks"}},
	"docs/clients/loki.md":      {{by: "internal/clienttest TestLokisLinesAreKept"}},
	"docs/clients/mc.md":        {{by: clients}},
	"docs/clients/rclone.md":    {{by: clients}},
	"docs/clients/restic.md":    {{by: clients}},
	"docs/clients/s3cmd.md":     {{by: clients}},
	"docs/clients/s5cmd.md":     {{by: clients}},
	"docs/clients/spark.md":     {{by: "internal/clienttest TestSparksTablesAreWritten"}},
	"docs/clients/terraform.md": {{by: "internal/clienttest TestOpenTofusStateIsKeptAndLocked"}},
	"docs/clients/velero.md":    {{by: "internal/clienttest TestVelerosBackupsAreStored"}},
	"docs/design.md": {
		{section: "Bodies", blocks: 1, why: "a picture"},
	},
	"docs/kubernetes.md": {{by: cluster, why: "PITHOS_TEST_KUBECTL"}},
	"docs/monitoring.md": {
		{section: "The admin port", blocks: 1, by: "deploy/prometheus/test TestTheDocumentedScrapeConfigurationLoads"},
		{section: "systemd and packages", blocks: 1, why: "nfpm is not at hand: the packages are made and installed by hand"},
	},
	"docs/operations.md": {{by: "cmd/pithos TestTheCommandsOfOperationsWork"}},
	"docs/performance.md": {
		{blocks: 2, why: "benchmarks, of minutes"},
	},
}

// pages are those of the project by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"}
	err := fs.WalkDir(os.DirFS(".."), "docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(path)))
		if err != nil {
			t.Fatal(err)
		}
		found[path] = string(text)
	}
	return found
}

// TestAllCodeOfThePagesIsRunOrSaysWhyNot holds that no page has a block of code
// which is neither run by a test that is named above, nor excused there.
func TestAllCodeOfThePagesIsRunOrSaysWhyNot(t *testing.T) {
	all := pages(t)
	for path, text := range all {
		blocks := map[string]int{}
		for _, b := range markdown.Blocks(text) {
			h, ok := holder(code[path], b.Section)
			if !ok {
				t.Errorf("%s:%d: no test is known that runs this block, of %q:\n%s", path, b.Line, b.Section, b.Text)
			}
			blocks[h.section]++
		}
		for _, h := range code[path] {
			if n := blocks[h.section]; n == 0 || h.blocks != 0 && n != h.blocks {
				t.Errorf("%s, %q: %d blocks, of which %d are known", path, h.section, n, h.blocks)
			}
		}
	}
	for path, list := range code {
		if _, ok := all[path]; !ok {
			t.Errorf("there is no %s", path)
		}
		for _, h := range list {
			if err := h.valid(path); err != nil {
				t.Errorf("%s, %q: %v", path, h.section, err)
			}
		}
	}
}

func holder(list []held, section string) (held, bool) {
	for _, h := range list {
		if h.section == "" || h.section == section {
			return h, true
		}
	}
	return held{}, false
}

// valid fails unless the test is there, in a folder whose tests name the page,
// or a reason is given.
func (h held) valid(path string) error {
	folder, test, _ := strings.Cut(h.by, " ")
	if h.by == "" && (h.why == "" || h.blocks == 0) {
		return fmt.Errorf("neither a test nor a reason, with the number of blocks, is given")
	}
	if h.by == "" {
		return nil
	}
	text := ""
	for _, pattern := range []string{"*_test.go", "*.sh"} {
		files, err := filepath.Glob(filepath.Join("..", folder, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			text += string(data)
		}
	}
	for _, want := range []string{"func " + test + "(", filepath.Base(path)} {
		if !strings.Contains(text, want) {
			return fmt.Errorf("no test of %s has %q", folder, want)
		}
	}
	return nil
}

// TestLinksBetweenPagesLead holds that what a page links to is there, and that
// each page can be reached from README.md.
func TestLinksBetweenPagesLead(t *testing.T) {
	all := pages(t)
	reached, next := map[string]bool{}, []string{"README.md"}
	for len(next) > 0 {
		path := next[0]
		next = next[1:]
		if reached[path] {
			continue
		}
		reached[path] = true
		for _, target := range markdown.Links(all[path]) {
			to, anchor, _ := strings.Cut(target, "#")
			if to == "" {
				to = path
			} else {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(path), to))
			}
			text, isPage := all[to]
			if _, err := os.Stat(filepath.Join("..", to)); err != nil {
				t.Errorf("%s links to %s: %v", path, target, err)
			}
			if anchor != "" && !slices.Contains(markdown.Anchors(text), anchor) {
				t.Errorf("%s links to %s, which has no such heading", path, target)
			}
			if isPage {
				next = append(next, to)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if !reached[path] {
			t.Errorf("no page that can be reached links to %s", path)
		}
	}
}
