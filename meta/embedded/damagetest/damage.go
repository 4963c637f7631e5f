// Package damagetest damages the metadata of the embedded engine, for tests of
// what finds that.
package damagetest

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// AddListingEntry adds an entry to a bucket's listing in the folder of a store
// that is closed, whether the key exists or not. The store itself never commits
// an entry without the version that it shows.
func AddListingEntry(folder string, bucket meta.BucketID, entry *meta.Entry) error {
	row, err := meta.Marshal(entry)
	if err != nil {
		return err
	}
	db, err := pebble.Open(folder, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		return err
	}
	key := append(append([]byte{'c'}, bucket[:]...), entry.Key...)
	return errors.Join(db.Set(key, row, pebble.Sync), db.Close())
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}
