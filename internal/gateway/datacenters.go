package gateway

import (
	"maps"
	"slices"
	"strconv"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
)

// warnOfDatacenters tells the operator where a keyspace has copies in several
// datacenters and a gateway asks its own alone. That is right as long as all
// gateways are in one of them; which others there are, none of them knows.
func warnOfDatacenters(log *zap.Logger, session *gocql.Session, c *config.Cassandra) {
	if decidesEverywhere(c) {
		return
	}
	// A keyspace that is missing is told by whoever looks for its tables.
	keyspace, err := session.KeyspaceMetadata(c.Keyspace)
	if err != nil {
		return
	}
	if copies := datacenters(keyspace); len(copies) > 1 {
		log.Warn("the keyspace has copies in several datacenters, and this gateway asks its own alone: "+
			"two that write from different ones overwrite each other's changes; "+
			"keep all gateways in one, or set consistency: QUORUM and serial-consistency: SERIAL for all of them",
			zap.String("keyspace", c.Keyspace), zap.Strings("datacenters", copies),
			zap.String("consistency", c.Consistency), zap.String("serial-consistency", c.SerialConsistency))
	}
}

// decidesEverywhere tells whether what one datacenter has acknowledged holds
// in all of them.
func decidesEverywhere(c *config.Cassandra) bool {
	return c.Consistency != gocql.LocalQuorum.String() && c.SerialConsistency == gocql.Serial.String()
}

// datacenters are those that have copies of a keyspace.
func datacenters(k *gocql.KeyspaceMetadata) []string {
	var with []string
	for _, name := range slices.Sorted(maps.Keys(k.StrategyOptions)) {
		// Beside the strategy's class there are numbers of copies, for one
		// datacenter each; SimpleStrategy's is for all.
		copies, isText := k.StrategyOptions[name].(string)
		if n, err := strconv.Atoi(copies); isText && err == nil && n > 0 && name != "replication_factor" {
			with = append(with, name)
		}
	}
	return with
}
