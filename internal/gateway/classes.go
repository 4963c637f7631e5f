package gateway

import (
	"fmt"
	"os"
	"strings"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/file"
	"github.com/pithos/pithos/config"
)

// classes are the storage classes of all regions.
//
// Metadata remember a blob store by its name, so a name must never come to
// mean another store. Where a gateway has one region the name is that of the
// class, whatever the region is called. Where it has several it is
// "region/class", whichever of them is the default one. The stores of the
// default region have both names: a configuration that grows from one region
// to several, or shrinks back, finds what was written before.
type classes struct {
	home    string // the default region
	several bool
	blobs   map[string]blob.Store
	names   map[string]map[string]string // by region and class
}

func newClasses(cfg *config.Config) *classes {
	return &classes{
		home: cfg.Options.DefaultRegion, several: len(cfg.Regions) > 1,
		blobs: map[string]blob.Store{}, names: map[string]map[string]string{},
	}
}

// add gives a region's class its store.
func (c *classes) add(region, class string, s blob.Store) error {
	full := region + "/" + class
	names, used := []string{full}, full
	if region == c.home {
		names = append(names, class)
		if !c.several {
			used = class
		}
	}
	for _, name := range names {
		if c.blobs[name] != nil {
			return fmt.Errorf("%w: regions.%s.storage-classes.%s: another region and class make the same name %q; rename one", ErrConfig, region, class, name)
		}
		c.blobs[name] = s
	}
	if c.names[region] == nil {
		c.names[region] = map[string]string{}
	}
	c.names[region][strings.ToUpper(class)] = used // as S3 writes it
	return nil
}

// openFiles opens a blob store in a directory, or returns the one that is
// open there.
func (e *Engine) openFiles(dir string, o OpenOptions) (blob.Store, error) {
	if s := e.files[dir]; s != nil {
		return s, nil
	}
	// Others have no business there, whatever the mode of what it is made in.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dataDirError(dir, err)
	}
	s, err := file.Open(dir, file.Options{Log: o.Log.Named("blob")})
	if err != nil {
		return nil, dataDirError(dir, err)
	}
	e.opened(s.Close)
	e.opened(o.showPebble(fmt.Sprintf("blobs:%s", dir), s.Figures))
	if e.files == nil {
		e.files = map[string]blob.Store{}
	}
	e.files[dir] = s
	return s, nil
}
