package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/file"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/keyadmin"
	"github.com/pithos/pithos/meta/embedded"
)

// The data directory of the embedded engine:
//
//	meta/         metadata; its lock keeps other processes out
//	blobs/        the bytes of the storage classes that name no directory
//	control/      the socket of package control
//	master.key    the master key, if no other is configured
//	credentials   the first access key, if none is configured
const (
	metaDir         = "meta"
	blobsDir        = "blobs"
	masterKeyFile   = "master.key"
	credentialsFile = "credentials"
)

// openEmbedded opens the metadata and the master keys of a data directory.
func openEmbedded(_ context.Context, op *opening) (err error) {
	if err := requireFirstPod(op.cfg.Embedded.Pod); err != nil {
		return err // before a directory is created
	}
	dir := op.cfg.Embedded.Directory
	path := filepath.Join(dir, metaDir)
	_, err = os.Stat(path)
	fresh := errors.Is(err, os.ErrNotExist)
	// Only this user may read the directory, whatever the mode of its parent.
	if err := os.MkdirAll(path, 0o700); err != nil {
		return dataDirError(dir, err)
	}
	log := op.log.Named("meta").Sugar()
	s, err := embedded.Open(path, embedded.Options{Logf: log.Warnf, Fatalf: log.Fatalf})
	if err != nil {
		return dataDirError(path, err)
	}
	op.Meta, op.AccessKeys, op.sweep = s, s, s.Sweep
	op.closeLater(s.Close)
	op.showPebble("meta", s.Metrics)
	op.credentials = filepath.Join(dir, credentialsFile)
	op.Ring, err = keyadmin.DirectoryRing(op.cfg, filepath.Join(dir, masterKeyFile), fresh, op.log)
	return err
}

// openFileBlobs opens a blob store in a directory, or returns the one that is
// open there.
func openFileBlobs(_ context.Context, op *opening, class *config.StorageClass) (blob.Store, error) {
	dir := class.Directory
	if dir == "" { // only on the embedded engine
		dir = filepath.Join(op.cfg.Embedded.Directory, blobsDir)
	}
	if s := op.directories[dir]; s != nil {
		return s, nil
	}
	// Only this user may read the directory, whatever the mode of its parent.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dataDirError(dir, err)
	}
	s, err := file.Open(dir, file.Options{Log: op.log.Named("blob")})
	if err != nil {
		return nil, dataDirError(dir, err)
	}
	op.closeLater(s.Close)
	op.showPebble("blobs:"+dir, s.Metrics)
	op.directories[dir] = s
	return s, nil
}

// dataDirError tells apart a directory in use, one that a newer pithos wrote and
// one that cannot be used.
func dataDirError(dir string, err error) error {
	if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "held by current process") || strings.Contains(err.Error(), "in use") {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if errors.Is(err, embedded.ErrNewer) || errors.Is(err, file.ErrNewer) {
		return fmt.Errorf("%w: %w", ErrSchemaNewer, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("data directory %s: %w: %s", dir, err, permissionHint(dir))
	}
	return fmt.Errorf("data directory %s: %w", dir, err)
}

// requireFirstPod refuses every pod of a StatefulSet but the first. Another
// replica has a volume of its own: clients would see one of two stores at random.
func requireFirstPod(pod string) error {
	if pod == "" || strings.HasSuffix(pod, "-0") {
		return nil
	}
	return fmt.Errorf("%w: the embedded engine serves from one pod, and this is %s: scale the StatefulSet back to one replica, or keep the data in Cassandra to have several", config.ErrInvalid, pod)
}
