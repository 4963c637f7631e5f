package file

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strconv"
	"strings"
)

// format is the version of the layout that the package's comment describes.
const format = 1

// formatFile has the version.
const formatFile = "format"

// ErrNewer: a later Pithos has written the directory, in a format that this one
// does not know.
var ErrNewer = errors.New("written by a newer pithos")

// checkFormat refuses a directory of a later format. It writes the format file if
// there is none: the directory is new, older than that file, or its first Open
// was interrupted.
func (s *Store) checkFormat() error {
	text, err := s.readFormat()
	if err != nil {
		return err
	}
	if text == "" {
		return s.writeFormat()
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 1:
		return fmt.Errorf("%s: unreadable format %q", s.path(formatFile), text)
	case n > format:
		return fmt.Errorf("%s: %w: it has format %d, and this binary knows no later than %d; start the pithos that wrote it, or a newer one", s.dir, ErrNewer, n, format)
	}
	return nil
}

func (s *Store) readFormat() (string, error) {
	f, err := s.opts.FS.Open(s.path(formatFile))
	if err != nil {
		if errors.Is(err, iofs.ErrNotExist) {
			return "", nil
		}
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, 64))
	return strings.TrimSpace(string(text)), errors.Join(err, f.Close())
}

// writeFormat writes the format file; prepare makes its name durable.
func (s *Store) writeFormat() error {
	f, err := s.opts.FS.Create(s.path(formatFile), "pithos")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, format)
	return errors.Join(err, f.Sync(), f.Close())
}
