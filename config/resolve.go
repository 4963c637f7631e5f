package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// fallbackRegion is the region where nothing names one: the one that S3
// clients assume.
const fallbackRegion = "us-east-1"

// Engine is the kind of database that holds the metadata.
type Engine string

// The engines.
const (
	EmbeddedEngine  Engine = "embedded"
	CassandraEngine Engine = "cassandra"
)

// Engine tells which engine the configuration chooses: Cassandra where the
// bucketstore names a cluster, else the embedded one.
func (c *Config) Engine() Engine {
	if len(c.Bucketstore.Cluster) > 0 {
		return CassandraEngine
	}
	return EmbeddedEngine
}

// complete fills in what is derived, inherits, and checks what no single key
// can tell.
func (d *decoder) complete(getenv func(string) string, fileClusters []string, cfg *Config) {
	d.service(&cfg.Service)
	d.admin(&cfg.Admin)
	d.tracing(&cfg.Tracing)
	cfg.Options.ServiceURI = d.serviceURI(cfg.Options.ServiceURI)
	d.keys(&cfg.Keystore)
	d.masterKey(&cfg.Encryption)
	if getenv("PITHOS_CASSANDRA_HOST") != "" {
		d.oneCluster(cfg, fileClusters)
	}
	base := cfg.Bucketstore.Cassandra // before ports and the like are derived
	if d.bucketstore(&cfg.Bucketstore) {
		d.regions(cfg, &base)
	}
	if cfg.Embedded.Directory == "" {
		d.failAt("embedded.directory", "must not be empty", "")
	}
	for i, f := range cfg.Logging.Files {
		if f.Path == "" {
			d.failAt("logging.files", fmt.Sprintf("entry %d has no path", i+1), "")
		}
	}
	d.inert("bucketstore", cfg.Engine() == CassandraEngine)
	if line := d.lines["embedded.directory"]; line > 0 && cfg.Engine() == CassandraEngine {
		d.note(line, "embedded.directory", "has no effect: bucketstore names a cluster")
	}
}

func (d *decoder) service(s *Service) {
	if s.Host == "" && d.lines["service.host"] > 0 {
		d.failAt("service.host", "must not be empty", "write 0.0.0.0 to listen on every interface")
	}
	if s.MaxMemory > 0 && s.MaxMemory < 16<<20 {
		d.failAt("service.max-memory", "must be 0, or between 16M and 1T", "0 leaves it to the memory limit of the process")
	}
	for _, text := range s.TrustedProxies {
		if _, err := ParsePrefix(text); err != nil {
			d.failAt("service.trusted-proxies", fmt.Sprintf("expected an address or a CIDR such as 10.0.0.0/8, found %q", clip(text)), "host names are not resolved")
		}
	}
	d.pair("service.tls", "certificate", s.TLS.Certificate, "key", s.TLS.Key)
	if strings.ContainsAny(s.Host, "/ \t") || strings.Count(s.Host, ":") == 1 {
		d.failAt("service.host", fmt.Sprintf("expected a host name or address, found %q", clip(s.Host)), "the port has a key of its own")
	}
}

// pair reports two keys of which only one is set.
func (d *decoder) pair(path, a, aText, b, bText string) {
	if (aText == "") == (bText == "") {
		return
	}
	if aText == "" {
		a, b = b, a
	}
	d.failAt(join(path, a), fmt.Sprintf("is set, but %s is not", join(path, b)), "set both, or neither")
}

var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// serviceURI brings host names into the form in which they are compared.
func (d *decoder) serviceURI(uris []string) []string {
	out := make([]string, len(uris))
	for i, uri := range uris {
		uri = strings.ToLower(strings.TrimSuffix(uri, "."))
		if !hostName.MatchString(uri) {
			d.failAt("options.service-uri", fmt.Sprintf("expected a host name such as s3.example.com, found %q", clip(uri)), "leave scheme, port and path out")
		}
		out[i] = uri
	}
	return out
}

func (d *decoder) keys(ks *Keystore) {
	for _, id := range slices.Sorted(maps.Keys(ks.Keys)) {
		key, path := ks.Keys[id], join("keystore.keys", id)
		if strings.ContainsFunc(id, notInKeyID) {
			d.failAt(path, "an access key must not hold spaces, slashes, commas, colons or equals signs", "signatures could not be told apart")
		}
		if key.Secret == "" {
			d.failAt(path, "has no secret", "add 'secret'")
		}
		if key.Tenant == "" {
			d.failAt(path, "has no tenant", "add 'tenant', the owner of what this key makes")
		}
	}
}

// notInKeyID finds what would break the Authorization headers of either
// signature version.
func notInKeyID(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("/,:=", r)
}

// masterKey checks the environment's key, which has no name in the file.
func (d *decoder) masterKey(e *Encryption) {
	if e.MasterKey == "" {
		return
	}
	if _, err := decodeMasterKey([]byte(e.MasterKey.Reveal())); err != nil {
		d.failAt("encryption.", err.Error(), "make one with: head -c 32 /dev/urandom | base64")
	}
}

// bucketstore settles the cluster that everything inherits from, and reports
// whether it is usable.
func (d *decoder) bucketstore(store *Bucketstore) bool {
	if d.given("bucketstore.cluster") && len(store.Cluster) == 0 {
		d.failAt("bucketstore.cluster", "names no host", "name one, or remove the key to run the embedded engine")
		return false
	}
	return d.cassandra("bucketstore", &store.Cassandra)
}

// regions gives every region and storage class its complete settings.
func (d *decoder) regions(cfg *Config, base *Cassandra) {
	d.defaultRegion(cfg)
	if len(cfg.Regions) == 0 {
		cfg.Regions, cfg.AnyLocation = map[string]Region{cfg.Options.DefaultRegion: newRegion()}, !cfg.Options.EnforceRegion
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Regions)) {
		region := cfg.Regions[name]
		d.region(join("regions", name), &region, base, cfg.Engine())
		cfg.Regions[name] = region
	}
}

func newRegion() Region {
	var r Region
	setDefaults(reflect.ValueOf(&r).Elem())
	return r
}

// defaultRegion settles which region buckets are made in.
func (d *decoder) defaultRegion(cfg *Config) {
	region, key := cfg.Options.DefaultRegion, "options.default-region"
	other := cfg.Bucketstore.DefaultRegion
	fromFile := d.lines[key] != 0
	switch {
	case region == "" && other != "":
		region, key = other, "bucketstore.default-region"
	case region == "" && len(cfg.Regions) == 1:
		region = slices.Collect(maps.Keys(cfg.Regions))[0]
	case region == "" && len(cfg.Regions) > 1:
		d.failAt("options.default-region", "is needed where there are several regions", "name one of "+strings.Join(slices.Sorted(maps.Keys(cfg.Regions)), ", "))
		return
	case region == "":
		region = fallbackRegion
	case fromFile && other != "" && other != region:
		d.failAt(key, fmt.Sprintf("is %q, but bucketstore.default-region is %q", clip(region), clip(other)), "keep one of the two")
	}
	cfg.Options.DefaultRegion, cfg.Bucketstore.DefaultRegion = region, region
	if _, ok := cfg.Regions[region]; !ok && len(cfg.Regions) > 0 {
		names := slices.Sorted(maps.Keys(cfg.Regions))
		d.failAt(key, fmt.Sprintf("there is no region %q", clip(region)), "there is "+strings.Join(names[:min(8, len(names))], ", "))
	}
}

func (d *decoder) region(path string, r *Region, base *Cassandra, engine Engine) {
	meta := path + ".metastore"
	if d.given(meta+".cluster") && engine != CassandraEngine {
		d.failAt(meta+".cluster", "names Cassandra, but bucketstore names no cluster", "add 'cluster' to 'bucketstore', which holds buckets and keys")
		return
	}
	d.inherit(meta, &r.Metastore.Cassandra, base)
	inherited := r.Metastore.Cassandra
	if !d.cassandra(meta, &r.Metastore.Cassandra) {
		return
	}
	d.inert(meta, engine == CassandraEngine)
	d.storageClasses(path+".storage-classes", r, &inherited, engine)
}

func (d *decoder) storageClasses(path string, r *Region, base *Cassandra, engine Engine) {
	if len(r.StorageClasses) == 0 {
		var standard StorageClass
		setDefaults(reflect.ValueOf(&standard).Elem())
		r.StorageClasses = map[string]StorageClass{StandardClass: standard}
	}
	lower := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(r.StorageClasses)) {
		if twin := lower[strings.ToLower(name)]; twin != "" {
			d.failAt(join(path, name), "differs from "+twin+" only in case", "S3 writes class names in capitals; keep one of the two")
		}
		lower[strings.ToLower(name)] = name
		class := r.StorageClasses[name]
		d.storageClass(join(path, name), &class, base, engine)
		r.StorageClasses[name] = class
	}
	if lower[StandardClass] == "" {
		d.failAt(path, "has no class 'standard'", "objects whose upload names no class go there; add it")
	}
}

func (d *decoder) storageClass(path string, c *StorageClass, base *Cassandra, engine Engine) {
	cassandra := engine == CassandraEngine
	switch {
	case c.Type == "" && cassandra:
		c.Type = "cassandra"
	case c.Type == "":
		c.Type = "file"
	}
	if c.Type == "cassandra" && !cassandra || d.given(path+".cluster") && !cassandra {
		d.failAt(path, "is in Cassandra, but bucketstore names no cluster", "add 'cluster' to 'bucketstore'")
		return
	}
	if c.Type == "file" && cassandra && c.Directory == "" {
		d.failAt(path, "is of type file and needs 'directory'", "name one that every gateway sees")
	}
	if c.Type == "cassandra" && c.Directory != "" {
		d.failAt(path+".directory", "is for classes of type file", "add 'type: file' or remove the directory")
	}
	d.inherit(path, &c.Cassandra, base)
	d.cassandra(path, &c.Cassandra)
	d.inert(path, c.Type == "cassandra")
}
