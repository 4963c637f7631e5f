package file

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// dirSync makes the entries of one directory durable. Callers that arrive during
// an fsync share the next one.
type dirSync struct {
	fs   vfs.FS
	path string

	turn sync.Mutex // held by the goroutine that syncs

	mu      sync.Mutex
	waiting *syncRound
}

type syncRound struct {
	done chan struct{}
	err  error
}

// Sync returns when every change of the directory made before the call is
// durable.
func (d *dirSync) Sync() error {
	round, leader := d.join()
	if !leader {
		<-round.done
		return round.err
	}
	d.turn.Lock()
	defer d.turn.Unlock()
	d.close() // a later caller may have changed the directory too late for this fsync
	round.err = syncDir(d.fs, d.path)
	close(round.done)
	return round.err
}

func (d *dirSync) join() (round *syncRound, leader bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting, leader = &syncRound{done: make(chan struct{})}, true
	}
	return d.waiting, leader
}

func (d *dirSync) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = nil
}

func syncDir(fs vfs.FS, path string) error {
	dir, err := fs.OpenDir(path)
	if err != nil {
		return fmt.Errorf("fsync directory: %w", err)
	}
	err = dir.Sync()
	if closeErr := dir.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("fsync directory %s: %w", path, err)
	}
	return nil
}
