// Command velero-caller uses a backup location as Velero's server does: by
// Velero's own packages, through a plugin in a process of its own. It is built
// within Velero's module (see ../install) and prints a line of JSON for each
// behaviour.
//
//	VELERO_PLUGINS   the folder of the plugins
//	VELERO_BUCKET    the location's bucket
//	VELERO_CONFIG    its configuration: key=value,...
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strings"

	"github.com/sirupsen/logrus"

	api "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/persistence"
	"github.com/vmware-tanzu/velero/pkg/plugin/clientmgmt"
	"github.com/vmware-tanzu/velero/pkg/plugin/clientmgmt/process"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "run-plugins" { // Velero asks its own program, too
		framework.NewServer().Serve()
		return
	}
	log := logrus.New()
	log.SetLevel(logrus.WarnLevel)
	registry := process.NewRegistry(os.Getenv("VELERO_PLUGINS"), log, log.Level)
	report("PluginsAreFound", registry.DiscoverPlugins)
	manager := clientmgmt.NewManager(log, log.Level, registry)
	defer manager.CleanupClients()
	var store persistence.BackupStore
	report("TheLocationIsValid", func() (err error) {
		if store, err = persistence.NewObjectBackupStoreGetter(nil).Get(location(), manager, log); err != nil {
			return err
		}
		return store.IsValid()
	})
	if store == nil {
		return
	}
	s := stored{store, make([]byte, 23<<20)}
	rand.New(rand.NewSource(1)).Read(s.contents)
	report("ABackupIsStored", s.put)
	report("ABackupIsReadAgain", s.get)
	report("ABackupIsDownloaded", s.download)
	report("MoreBackupsThanAPageAreListed", s.list)
	report("ABackupIsDeleted", s.remove)
}

// report prints how a behaviour went.
func report(name string, f func() error) {
	line := struct{ Name, Failure string }{Name: name}
	if err := f(); err != nil {
		line.Failure = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		panic(err)
	}
}

func location() *api.BackupStorageLocation {
	config := map[string]string{}
	for _, pair := range strings.Split(os.Getenv("VELERO_CONFIG"), ",") {
		key, value, _ := strings.Cut(pair, "=")
		config[key] = value
	}
	l := &api.BackupStorageLocation{}
	l.Spec.Provider, l.Spec.Config = "velero.io/aws", config
	l.Spec.ObjectStorage = &api.ObjectStorageLocation{Bucket: os.Getenv("VELERO_BUCKET")}
	return l
}

// stored is a location, and what the backup "first" holds: more than a part.
type stored struct {
	persistence.BackupStore
	contents []byte
}

func metadata(name string) io.Reader {
	return strings.NewReader(`{"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":"` + name + `"}}`)
}

func (s stored) put() error {
	return s.PutBackup(persistence.BackupInfo{Name: "first", Metadata: metadata("first"), Contents: bytes.NewReader(s.contents), Log: strings.NewReader("")})
}

func (s stored) get() error {
	b, err := s.GetBackupMetadata("first")
	if err != nil || b.Name != "first" {
		return fmt.Errorf("metadata of %v: %v", b, err)
	}
	r, err := s.GetBackupContents("first")
	if err != nil {
		return err
	}
	defer r.Close()
	return s.same(r)
}

func (s stored) same(r io.Reader) error {
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, s.contents) {
		err = fmt.Errorf("%d bytes that differ from the %d expected", len(got), len(s.contents))
	}
	return err
}

// download is what 'velero backup download' does.
func (s stored) download() error {
	url, err := s.GetDownloadURL(api.DownloadTarget{Kind: api.DownloadTargetKindBackupContents, Name: "first"})
	if err != nil {
		return err
	}
	r, err := http.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, r.Status)
	}
	return s.same(r.Body)
}

func (s stored) list() error {
	const more = 1100
	for i := range more {
		name := fmt.Sprintf("more-%04d", i)
		if err := s.PutBackupMetadata(name, metadata(name)); err != nil {
			return err
		}
	}
	got, err := s.ListBackups()
	if err == nil && len(got) != more+1 {
		err = fmt.Errorf("%d backups, not %d", len(got), more+1)
	}
	return err
}

func (s stored) remove() error {
	if err := s.DeleteBackup("first"); err != nil {
		return err
	}
	if there, err := s.BackupExists(os.Getenv("VELERO_BUCKET"), "first"); err != nil || there {
		return fmt.Errorf("it is still there: %t, %v", there, err)
	}
	return nil
}
