package config

import (
	"fmt"
	"strings"
	"testing"
)

const twoStores = `
bucketstore: {cluster: a, username: one, password: first, replication: {datacenters: {dc1: 3}}}
regions: {r: {metastore: {%s}, storage-classes: {standard: {%s}}}}
`

// stores loads twoStores and returns the metastore and the standard class.
func stores(t *testing.T, meta, class string) (Cassandra, Cassandra) {
	t.Helper()
	cfg := mustLoad(t, fmt.Sprintf(twoStores, meta, class), noEnv)
	region := cfg.Regions["r"]
	standard, _ := region.Class("STANDARD")
	return region.Metastore.Cassandra, standard.Cassandra
}

func TestStoresInheritFromBucketstoreThroughTheMetastore(t *testing.T) {
	meta, class := stores(t, "username: two, password: second, keyspace: m", "")
	for name, c := range map[string]Cassandra{"metastore": meta, "class": class} {
		if c.Username != "two" || c.Password.Reveal() != "second" || c.Keyspace != "m" || c.Cluster[0].Host != "a" || c.Replication.Datacenters["dc1"] != 3 {
			t.Errorf("%s: %+v, password %q", name, c, c.Password.Reveal())
		}
	}
}

func TestStoreOverridesWithoutTouchingOthers(t *testing.T) {
	meta, class := stores(t, "", "username: two, password: second, port: 9999, replication: 2")
	if meta.Username != "one" || meta.Password.Reveal() != "first" || meta.Cluster[0].Port != 9042 {
		t.Errorf("metastore: %+v", meta)
	}
	if class.Password.Reveal() != "second" || class.Cluster[0].String() != "a:9999" {
		t.Errorf("class: %+v", class)
	}
	if r := class.Replication; r.Strategy != "NetworkTopologyStrategy" || r.Factor != 2 || len(r.Datacenters) > 0 {
		t.Errorf("replication is mixed with the inherited one: %+v", r)
	}
}

func TestPasswordOfOneUserIsNotGivenToAnother(t *testing.T) {
	_, err := Load(written(t, fmt.Sprintf(twoStores, "username: two", "")), true, noEnv)
	if err == nil || !strings.Contains(err.Error(), "regions.r.metastore.username: is set, but regions.r.metastore.password is not") {
		t.Errorf("got %v", err)
	}
}

func TestMistakeInAnInheritedValueIsReportedOnce(t *testing.T) {
	_, err := Load(written(t, "bucketstore: {cluster: a, keyspace: 'x y'}"), true, noEnv)
	list, ok := err.(Errors)
	if !ok || len(list) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestAliasesThatRepeatThemselvesAreStopped(t *testing.T) {
	var b strings.Builder
	b.WriteString("regions:\n  r0: &r\n    storage-classes: &c\n")
	for i := range 400 {
		fmt.Fprintf(&b, "      c%d: {max-chunk: 64k, type: file, directory: /x}\n", i)
	}
	for i := range 400 {
		fmt.Fprintf(&b, "  s%d: *r\n", i)
	}
	_, err := Load(written(t, b.String()), true, noEnv)
	if err == nil || !strings.Contains(err.Error(), "repeats too much through aliases") {
		t.Errorf("got %v", err)
	}
}

func TestAliasStandsForItsValue(t *testing.T) {
	cfg := mustLoad(t, "bucketstore: {cluster: &hosts [a, b], keyspace: s}\nregions: {r: {metastore: {cluster: *hosts}}}\n", noEnv)
	if got := cfg.Regions["r"].Metastore.Cluster; len(got) != 2 || got[1].String() != "b:9042" {
		t.Errorf("got %v", got)
	}
}

func TestUserOfCassandraComesFromTheEnvironment(t *testing.T) {
	user := env("PITHOS_CASSANDRA_USERNAME", "demo-superuser", "PITHOS_CASSANDRA_PASSWORD", "0815")
	cfg := mustLoad(t, "bucketstore: {cluster: a, username: one, password: first}\nregions: {r: {metastore: {username: two, password: second}}, s: {}}\noptions: {default-region: r}", user)
	for name, want := range map[string][2]string{"r": {"two", "second"}, "s": {"demo-superuser", "0815"}} {
		c := cfg.Regions[name].Metastore.Cassandra
		if got := [2]string{c.Username, c.Password.Reveal()}; got != want {
			t.Errorf("region %s: user %q, want %q", name, got[0], want[0])
		}
	}
	half := env("PITHOS_CASSANDRA_USERNAME", "demo-superuser")
	if _, err := Load(written(t, "bucketstore: {cluster: a}"), true, half); err == nil || !strings.Contains(err.Error(), "bucketstore.password") {
		t.Errorf("a user without a password: %v", err)
	}
}
