package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/config"
)

// TestAnotherReplicaThanTheFirstRefusesToServe and makes nothing.
func TestAnotherReplicaThanTheFirstRefusesToServe(t *testing.T) {
	for pod, serves := range map[string]bool{
		"": true, "pithos-0": true, "a-1-0": true, "pithos-1": false, "pithos-10": false, "pithos-01": false, "0": false, "pithos-5d8f-x2x": false,
	} {
		data := filepath.Join(t.TempDir(), "data")
		cfg := configuration(t, "embedded: {directory: "+data+"}\n")
		cfg.Embedded.Pod = pod
		e, err := Open(t.Context(), cfg, OpenOptions{})
		if err == nil {
			err = e.Close()
		}
		if serves && err != nil || !serves && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), pod)) {
			t.Errorf("pod %q: %v", pod, err)
		}
		if _, err := os.Stat(data); !serves && !os.IsNotExist(err) {
			t.Errorf("pod %q made a data directory", pod)
		}
	}
}

// TestADirectoryOfAnotherUserSaysSo, for a volume that root owns.
func TestADirectoryOfAnotherUserSaysSo(t *testing.T) {
	err := dataDirError("/proc/1/none/data", os.ErrPermission)
	if !strings.Contains(err.Error(), "belongs to user") || !strings.Contains(err.Error(), "chown") {
		t.Errorf("got %v", err)
	}
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	cfg := configuration(t, "embedded: {directory: "+filepath.Join(folder, "data")+"}\n")
	if _, err := Open(t.Context(), cfg, OpenOptions{}); err == nil || !strings.Contains(err.Error(), "chown") {
		t.Errorf("got %v", err)
	}
}
