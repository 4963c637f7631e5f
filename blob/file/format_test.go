package file

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// putFile writes a file of a file system in memory.
func putFile(t *testing.T, fs vfs.FS, path, text string) {
	t.Helper()
	f, err := fs.Create(path, "test")
	if err == nil {
		_, err = io.WriteString(f, text)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoriesAreMarkedWithTheirFormat(t *testing.T) {
	for name, text := range map[string]string{"no mark, as before there were any": "-", "a mark that was cut": "", "marked": "1\n"} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			if err := fs.MkdirAll("blobs", 0o700); err != nil {
				t.Fatal(err)
			}
			if text != "-" {
				putFile(t, fs, "blobs/format", text)
			}
			s, err := Open("blobs", Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if got, err := s.readFormat(); err != nil || got != "1" {
				t.Errorf("marked %q, %v", got, err)
			}
		})
	}
}

func TestOpenRefusesAnotherFormat(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, fs vfs.FS)
		newer bool
		want  string
	}{
		"newer":      {func(t *testing.T, fs vfs.FS) { putFile(t, fs, "blobs/format", "2\n") }, true, "format 2"},
		"unreadable": {func(t *testing.T, fs vfs.FS) { putFile(t, fs, "blobs/format", "x\n") }, false, `unreadable format "x"`},
		"a newer Pebble": {func(t *testing.T, fs vfs.FS) {
			markers, err := fs.List("blobs/small")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range markers {
				if strings.HasPrefix(name, "marker.format-version") {
					err = errors.Join(err, fs.Remove("blobs/small/"+name))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			putFile(t, fs, "blobs/small/marker.format-version.999999.999", "")
		}, true, "start the pithos that wrote"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			s, err := Open("blobs", Options{FS: fs})
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(t, fs)
			if _, err = Open("blobs", Options{FS: fs}); err == nil || errors.Is(err, ErrNewer) != c.newer || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			// The file is not open any more: the refused open has closed it.
			if db, err := pebble.Open("blobs/small", &pebble.Options{FS: fs, ReadOnly: true}); err == nil {
				_ = db.Close()
			} else if c.want != "start the pithos that wrote" {
				t.Error(err)
			}
		})
	}
}
