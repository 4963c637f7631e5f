package engine

import (
	"maps"
	"slices"
	"strconv"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
)

// warnOfDatacenters warns if a keyspace has replicas in several datacenters and
// the configured consistency involves only the gateway's own. That is right if
// all gateways are in one datacenter; a gateway does not know where others are.
func warnOfDatacenters(log *zap.Logger, session *gocql.Session, c *config.Cassandra) {
	if consistentAcrossDatacenters(c) {
		return
	}
	// checkSchema reports a keyspace that is missing.
	keyspace, err := session.KeyspaceMetadata(c.Keyspace)
	if err != nil {
		return
	}
	if copies := datacenters(keyspace); len(copies) > 1 {
		log.Warn("the keyspace has replicas in several datacenters, but this gateway reads and writes only its own: "+
			"gateways in different datacenters overwrite each other's changes; "+
			"run all gateways in one datacenter, or set consistency: QUORUM and serial-consistency: SERIAL for all of them",
			zap.String("keyspace", c.Keyspace), zap.Strings("datacenters", copies),
			zap.String("consistency", c.Consistency), zap.String("serial-consistency", c.SerialConsistency))
	}
}

// consistentAcrossDatacenters reports whether a change acknowledged in one
// datacenter is seen in all of them.
func consistentAcrossDatacenters(c *config.Cassandra) bool {
	return c.Consistency != gocql.LocalQuorum.String() && c.SerialConsistency == gocql.Serial.String()
}

// datacenters returns the datacenters that have replicas of a keyspace.
func datacenters(k *gocql.KeyspaceMetadata) []string {
	var with []string
	for _, name := range slices.Sorted(maps.Keys(k.StrategyOptions)) {
		// The options are the strategy's class and a number of replicas for
		// each datacenter; the one of SimpleStrategy is for all.
		copies, isText := k.StrategyOptions[name].(string)
		if n, err := strconv.Atoi(copies); isText && err == nil && n > 0 && name != "replication_factor" {
			with = append(with, name)
		}
	}
	return with
}
