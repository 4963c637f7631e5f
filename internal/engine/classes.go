package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/config"
)

// classes are the storage classes of all regions.
//
// Metadata refer to a blob store by its name, so a name must always mean the
// same store. With one region the name is that of the class, whatever the name
// of the region. With several regions it is "region/class". The stores of the
// default region have both names: a configuration that grows from one region to
// several, or shrinks back, finds what was written before.
type classes struct {
	defaultRegion  string
	severalRegions bool
	blobs          map[string]blob.Store
	names          map[string]map[string]string // by region and class
}

func newClasses(cfg *config.Config) *classes {
	return &classes{
		defaultRegion: cfg.Options.DefaultRegion, severalRegions: len(cfg.Regions) > 1,
		blobs: map[string]blob.Store{}, names: map[string]map[string]string{},
	}
}

// openClasses opens the blob stores of the storage classes of all regions.
func (op *opening) openClasses(ctx context.Context) (*classes, error) {
	c := newClasses(op.cfg)
	for _, region := range slices.Sorted(maps.Keys(op.cfg.Regions)) {
		for name, class := range op.cfg.Regions[region].StorageClasses {
			s, err := op.openClass(ctx, &class)
			if err == nil {
				err = c.add(region, name, s)
			}
			if err != nil {
				return nil, fmt.Errorf("storage class %s of region %s: %w", name, region, err)
			}
		}
	}
	return c, nil
}

func (op *opening) openClass(ctx context.Context, class *config.StorageClass) (blob.Store, error) {
	open := blobStores[class.Type]
	if open == nil {
		return nil, fmt.Errorf("%w: no blob store has the type %q", config.ErrInvalid, class.Type)
	}
	return open(ctx, op, class)
}

// add gives a class of a region its store.
func (c *classes) add(region, class string, s blob.Store) error {
	full := region + "/" + class
	names, used := []string{full}, full
	if region == c.defaultRegion {
		names = append(names, class)
		if !c.severalRegions {
			used = class
		}
	}
	for _, name := range names {
		if c.blobs[name] != nil {
			return fmt.Errorf("%w: regions.%s.storage-classes.%s: another region and class have the same name %q; rename one", config.ErrInvalid, region, class, name)
		}
		c.blobs[name] = s
	}
	if c.names[region] == nil {
		c.names[region] = map[string]string{}
	}
	c.names[region][strings.ToUpper(class)] = used // S3 names classes in capitals
	return nil
}
