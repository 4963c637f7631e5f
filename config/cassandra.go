package config

import (
	"fmt"
	"maps"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// clusters lists, each once, the contact points of the stores that name any.
func clusters(cfg *Config) []string {
	var named []string
	add := func(c *Cassandra) {
		if len(c.Cluster) > 0 {
			named = append(named, fmt.Sprint(c.Cluster))
		}
	}
	add(&cfg.Bucketstore.Cassandra)
	for _, region := range cfg.Regions {
		add(&region.Metastore.Cassandra)
		for _, class := range region.StorageClasses {
			add(&class.Cassandra)
		}
	}
	slices.Sort(named)
	return slices.Compact(named)
}

// oneCluster lets PITHOS_CASSANDRA_HOST stand for the cluster of every store,
// which it can only where the file names no two.
func (d *decoder) oneCluster(cfg *Config, fileClusters []string) {
	if len(fileClusters) > 1 {
		d.fail(0, "PITHOS_CASSANDRA_HOST", "cannot stand for the several clusters that the file names", "unset it, or let the file name one cluster")
		return
	}
	for name := range cfg.Regions {
		path := join("regions", name)
		d.forget(path + ".metastore.cluster")
		for class := range cfg.Regions[name].StorageClasses {
			d.forget(join(path+".storage-classes", class) + ".cluster")
		}
	}
}

// together are the keys that are inherited all or none: a user name of one
// cluster must not meet the password of another.
var together = [][]string{{"username", "password"}}

// inherit copies from a parent what a store leaves out.
func (d *decoder) inherit(path string, store, from *Cassandra) {
	dst, src := reflect.ValueOf(store).Elem(), reflect.ValueOf(from).Elem()
	for _, f := range fieldsOf(dst.Type()) {
		if f.legacy() || d.ownGroup(path, f.name) {
			continue
		}
		dst.FieldByIndex(f.index).Set(src.FieldByIndex(f.index))
	}
}

// ownGroup says whether a store sets a key itself, or one that belongs to it.
func (d *decoder) ownGroup(path, name string) bool {
	for _, group := range together {
		if slices.Contains(group, name) {
			return slices.ContainsFunc(group, func(n string) bool { return d.given(join(path, n)) })
		}
	}
	return d.given(join(path, name))
}

var (
	keyspaceName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,47}$`)
	datacenterName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
)

// cassandra checks one store's settings, derives the rest of them, and reports
// whether they are usable.
func (d *decoder) cassandra(path string, c *Cassandra) bool {
	before := len(d.errs)
	c.Cluster = slices.Clone(c.Cluster)
	for i := range c.Cluster {
		if problem := c.Cluster[i].complete(c.Port); problem != "" {
			d.failAt(path+".cluster", problem, "write 'host', 'host:port' or '{host: ..., port: ...}'")
		}
	}
	if !keyspaceName.MatchString(c.Keyspace) {
		d.failAt(path+".keyspace", "must begin with a letter and hold at most 48 letters, digits and underscores", "")
	}
	if c.Datacenter != "" && !datacenterName.MatchString(c.Datacenter) {
		d.failAt(path+".datacenter", "is not the name of a datacenter", "nodetool status shows the names")
	}
	d.pair(path, "username", c.Username, "password", c.Password.Reveal())
	d.cassandraTLS(path+".tls", &c.TLS)
	d.replication(path+".replication", c)
	return len(d.errs) == before
}

// complete splits a port off the host, or takes the cluster's. It returns
// what is wrong, or "".
func (h *Host) complete(port int) string {
	host := strings.TrimSpace(h.Host)
	if name, text, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 65535 || h.Port != 0 && h.Port != n {
			return fmt.Sprintf("%q has no usable port", clip(host))
		}
		host, h.Port = name, n
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if net.ParseIP(host) == nil && !hostName.MatchString(strings.ToLower(strings.TrimSuffix(host, "."))) {
		return fmt.Sprintf("%q is neither a host name nor an address", clip(host))
	}
	h.Host = host
	if h.Port == 0 {
		h.Port = port
	}
	return ""
}

// String is the contact point as host:port.
func (h Host) String() string { return net.JoinHostPort(h.Host, strconv.Itoa(h.Port)) }

func (d *decoder) cassandraTLS(path string, t *CassandraTLS) {
	d.pair(path, "certificate", t.Certificate, "key", t.Key)
	named := t.CA != "" || t.Certificate != "" || t.ServerName != ""
	if named && !t.Enabled && d.given(path+".enabled") {
		d.failAt(path+".enabled", "is false, but files or names for TLS are given", "set it to true, or remove them")
	}
	t.Enabled = t.Enabled || named
}

func (d *decoder) replication(path string, c *Cassandra) {
	r := &c.Replication
	if len(r.Datacenters) > 0 && d.given(path+".factor") {
		d.failAt(path+".factor", "and 'datacenters' exclude each other", "keep one of the two")
	}
	if r.Strategy == "" {
		r.Strategy = "NetworkTopologyStrategy"
	}
	if r.Strategy == "SimpleStrategy" && len(r.Datacenters) > 0 {
		d.failAt(path+".datacenters", "need the strategy NetworkTopologyStrategy", "remove 'strategy', or the datacenters")
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(r.Datacenters)) {
		total += r.Datacenters[name]
		if !datacenterName.MatchString(name) {
			d.failAt(join(path+".datacenters", name), "is not the name of a datacenter", "nodetool status shows the names")
		}
	}
	if len(r.Datacenters) > 0 && total == 0 {
		d.failAt(path+".datacenters", "keep no copy at all", "")
	}
}

// inert warns of Cassandra's settings in a store that is not in Cassandra.
func (d *decoder) inert(path string, inCassandra bool) {
	if inCassandra {
		return
	}
	for _, name := range keyNames(reflect.TypeFor[Cassandra]()) {
		if line := d.lines[join(path, name)]; line > 0 {
			d.note(line, join(path, name), "has no effect: this store is not in Cassandra")
		}
	}
}
