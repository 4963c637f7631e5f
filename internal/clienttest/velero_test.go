//go:build unix

package clienttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/markdown"
)

// velero are the blocks of docs/clients/velero.md: the file of the
// credentials, the installation, Kopia.
func velero(t *testing.T, blocks []markdown.Block) (credentials, install, kopia string) {
	t.Helper()
	if len(blocks) != 3 || !strings.HasPrefix(blocks[1].Text, "velero install ") {
		t.Fatalf("the page has other blocks than are known: %v", blocks)
	}
	return blocks[0].Text, blocks[1].Text, blocks[2].Text
}

// TestVelerosBackupsAreStored has Velero's own packages, and its plugin for
// AWS, use the location that 'velero install' of docs/clients/velero.md
// describes: the installation itself needs a cluster.
func TestVelerosBackupsAreStored(t *testing.T) {
	plugin := program(t, "velero-plugin")
	for name, more := range map[string]string{"as the page has it": "", "with other checksums": ",checksumAlgorithm=SHA256", "without checksums": ",checksumAlgorithm=",
		"encrypted": ",serverSideEncryption=AES256", "tagged": ",tagging=by=velero&to=pithos"} {
		t.Run(name, func(t *testing.T) {
			applications(t, "velero.md", "velero-caller", func(t *testing.T, a application) {
				credentials, install, _ := velero(t, a.blocks)
				a.file(t, "credentials", []byte(credentials))
				plugins := filepath.Join(a.dir, "plugins")
				if err := os.Mkdir(plugins, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(plugin, filepath.Join(plugins, "velero-plugin-for-aws")); err != nil {
					t.Fatal(err)
				}
				flags := flagsOf(install)
				a.env = append(a.env, "VELERO_PLUGINS="+plugins, "VELERO_BUCKET="+flags["--bucket"], "VELERO_CONFIG="+flags["--backup-location-config"]+more,
					"AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(a.dir, flags["--secret-file"]))
				if out := a.run(t, "server"); report(t, out) < 7 {
					t.Errorf("too little was reported:\n%s", out)
				}
			})
		})
	}
}

// flagsOf returns the flags of a command line that have values.
func flagsOf(command string) map[string]string {
	flags, words := map[string]string{}, strings.Fields(strings.ReplaceAll(command, "\\\n", ""))
	for i, word := range words[:len(words)-1] {
		if strings.HasPrefix(word, "--") {
			flags[word] = words[i+1]
		}
	}
	return flags
}

// TestKopiasSnapshotsAreKept runs the commands of docs/clients/velero.md for
// Kopia, and its own test of a provider.
func TestKopiasSnapshotsAreKept(t *testing.T) {
	applications(t, "velero.md", "kopia", func(t *testing.T, a application) {
		_, _, commands := velero(t, a.blocks)
		a.env = append(a.env, "KOPIA_CHECK_FOR_UPDATES=false", "KOPIA_PERSIST_CREDENTIALS_ON_CONNECT=true")
		a.shell(t, commands)
		a.file(t, "data/large", noise(12*mib))
		a.shell(t, `export KOPIA_PASSWORD=correct-horse-battery-staple
kopia snapshot create data
kopia restore "$(kopia snapshot list data --json | jq -r '.[-1].id')" second
kopia maintenance run --full`)
		a.same(t, "second", "data")
		contains(t, a.shell(t, "KOPIA_PASSWORD=correct-horse-battery-staple kopia repository validate-provider --num-storage-connections=4 "+
			"--concurrency-test-duration=2s --put-blob-workers=2 --get-blob-workers=2 --get-metadata-workers=2"), "All good.")
	})
}
