//go:build unix

package clienttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

// TestHadoopsFileSystemWorks runs docs/clients/hadoop.md, and with its
// configuration a file of several parts and names that need encoding.
func TestHadoopsFileSystemWorks(t *testing.T) {
	applications(t, "hadoop.md", "hadoop", func(t *testing.T, a application) {
		a.env = append(a.env, "HADOOP_CONF_DIR="+a.dir)
		a.shell(t, strings.Join(a.scripts(t, a.blocks), ""))
		a.empty(t)
		large := noise(70 * mib) // S3A's parts have 64 MiB
		a.file(t, "up/large", large)
		a.file(t, "up/a b/ü %20+&.txt", []byte("odd"))
		a.shell(t, "hadoop fs -put up s3a://demo/ && hadoop fs -mv s3a://demo/up s3a://demo/moved && hadoop fs -get s3a://demo/moved down")
		a.same(t, "down", "up")
		if out, err := a.bash(t, "hadoop fs -put up/large s3a://demo/moved/large"); err == nil || !strings.Contains(out, "File exists") {
			t.Errorf("over what is there: %v\n%s", err, out)
		}
		a.shell(t, "hadoop fs -rm -r -skipTrash s3a://demo/moved")
		a.empty(t)
	})
}

// empty fails the test unless nothing is left in the bucket: no object, but
// markers of directories, and no upload.
func (a application) empty(t *testing.T) {
	t.Helper()
	for _, key := range listed(t.Context(), t, a.s.Client(t, s3test.Alice2), demo) {
		if !strings.HasSuffix(key, "/") {
			t.Errorf("%s is left", key)
		}
	}
	if _, body := a.s.Do(t, s3test.Alice2, "GET", "/"+demo+"?uploads", nil); strings.Contains(string(body), "<Upload>") {
		t.Errorf("uploads are left: %s", body)
	}
}

// TestSparksTablesAreWritten runs docs/clients/spark.md: its job with the
// default committer and with magic, then testdata/tables.py, alike.
func TestSparksTablesAreWritten(t *testing.T) {
	tables, err := os.ReadFile(filepath.Join("testdata", "tables.py"))
	if err != nil {
		t.Fatal(err)
	}
	applications(t, "spark.md", "spark-submit", func(t *testing.T, a application) {
		if len(a.blocks) != 5 {
			t.Fatalf("%d blocks, of which 5 are known", len(a.blocks))
		}
		settings, job, submit, magic, submitMagic := a.blocks[0].Text, a.blocks[1], a.blocks[2], a.blocks[3].Text, a.blocks[4]
		a.file(t, job.File(), []byte(job.Text))
		a.file(t, "tables.py", tables)
		// A Python that has pyspark stands beside its spark-submit.
		a.env = append(a.env, "SPARK_CONF_DIR="+a.dir, "SPARK_LOCAL_IP=127.0.0.1",
			"PATH="+filepath.Join(a.dir, "bin")+":"+filepath.Dir(a.path)+":"+os.Getenv("PATH"))
		for committer, way := range map[string]struct{ settings, submit string }{
			"default": {settings, submit.Text}, "magic": {settings + magic, submitMagic.Text},
		} {
			t.Run(committer, func(t *testing.T) { a.runSpark(t, way.settings, way.submit, committer == "magic") })
		}
	})
}

// runSpark submits the page's job, and testdata/tables.py, by its command.
func (a application) runSpark(t *testing.T, settings, submit string, magic bool) {
	a.file(t, "spark-defaults.conf", []byte(settings+"spark.ui.enabled false\nspark.master local[2]\nspark.sql.shuffle.partitions 2\n"))
	a.shell(t, submit)
	out := a.shell(t, strings.ReplaceAll(submit, "job.py", "tables.py"))
	if n := report(t, out); n == 0 {
		t.Errorf("nothing was reported:\n%s", out)
	}
	_, success := a.s.Do(t, s3test.Alice2, "GET", "/"+demo+"/table/_SUCCESS", nil)
	if by := strings.Contains(string(success), `"committer" : "magic"`); by != magic {
		t.Errorf("written by magic: %t, want %t; _SUCCESS: %s", by, magic, success)
	}
}
