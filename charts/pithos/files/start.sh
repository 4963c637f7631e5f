#!/bin/bash
# Finds the ring this node belongs to, then becomes Cassandra.
#
# Two services name the nodes: "cassandra" (or $SERVICE) those that serve, and
# "cassandra-nodes" all there are. A node must not be its own seed if there is
# a ring already: it would found another, or join without the data it owns. So:
#  - whoever has joined once knows its ring, and starts at once;
#  - where nodes serve, they are the seeds, and newcomers join one by one;
#  - whoever is alone from the first is the founder. The list of nodes only
#    grows meanwhile, so that two cannot both see themselves alone;
#  - of several that came at once, the lowest address founds the ring when
#    for FOUNDER_WAIT seconds nobody has served or begun to start.
set -u
trap 'exit 143' TERM INT
data=${CASSANDRA_DATA:-/var/lib/cassandra}
service=${SERVICE:-cassandra}
founder_wait=${FOUNDER_WAIT:-90} turn_wait=${TURN_WAIT:-600} step=${STEP:-2}

addresses() { getent ahosts "$1" | awk '{print $1}' | sort -u; }
serving()   { addresses "$service" | grep -vxF "$POD_IP"; }
others()    { addresses "$service-nodes" | grep -vxF "$POD_IP"; }
lowest()    { [ "$(addresses "$service-nodes" | head -n 1)" = "$POD_IP" ]; }
answers()   { timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }
say()       { echo "start.sh: $*"; }

# Whether a node that does not serve yet is starting (its port for other
# nodes is open), or has a lower address and so goes first.
before_me() {
  local ready node
  ready=$(serving)
  for node in $(others); do
    grep -qxF "$node" <<<"$ready" && continue
    if [ "$1" = lower ] && [ "$(printf '%s\n' "$node" "$POD_IP" | sort | head -n 1)" = "$node" ]; then return 0; fi
    if answers "$node" 7000; then return 0; fi
  done
  return 1
}

choose_seeds() {
  local alone=yes waited=0
  if [ -e "$data/joined" ]; then
    seeds="$POD_IP $(others)"
    return
  fi
  until addresses "$service-nodes" | grep -qxF "$POD_IP"; do
    say "waiting for the service $service-nodes to name $POD_IP"
    sleep "$step"
  done
  [ -z "$(others)" ] || alone=no
  while seeds=$(serving); [ -z "$seeds" ]; do
    if [ $alone = yes ] || { lowest && [ $waited -ge "$founder_wait" ]; }; then
      say "founding the ring"
      seeds=$POD_IP
      return
    fi
    say "waiting for a node that serves"
    if before_me starting; then waited=0; else waited=$((waited + step)); fi
    sleep "$step"
  done
  waited=0
  while before_me lower && [ $waited -lt "$turn_wait" ]; do
    say "waiting for nodes that join before"
    waited=$((waited + step))
    sleep "$step"
  done
  seeds=$(serving)
  seeds=${seeds:-$(others)}
}

choose_seeds
CASSANDRA_SEEDS=$(tr ' ' '\n' <<<"$seeds" | grep . | head -n 3 | paste -sd, -)
export CASSANDRA_SEEDS
say "seeds: $CASSANDRA_SEEDS"
# Every change of a key is a round of Paxos, which takes half of the messages in
# version 2. Nodes of both versions understand each other.
conf=${CASSANDRA_CONF:-/etc/cassandra}/cassandra.yaml
if [ -w "$conf" ] && ! grep -q '^paxos_variant:' "$conf"; then
  echo 'paxos_variant: v2' >>"$conf"
fi
# Clients are served once the node has joined.
(until answers "$POD_IP" 9042; do sleep 5; done; touch "$data/joined") &
exec docker-entrypoint.sh cassandra -f
