#!/bin/bash
# Finds the ring that this node belongs to, then starts Cassandra.
#
# Two services resolve to the nodes: "cassandra" (or $SERVICE) to those that
# serve, and "cassandra-nodes" to all. A node must not be its own seed if a ring
# exists: it would found another ring, or join without the data that it owns. So:
#  - a node that has joined before knows its ring, and starts immediately;
#  - if nodes serve, they are the seeds, and new nodes join one by one;
#  - a node that has been alone from the beginning founds the ring. The list of
#    nodes only grows meanwhile, so two nodes cannot both find themselves alone;
#  - of several nodes that start together, the one with the lowest address founds
#    the ring, after FOUNDER_WAIT seconds in which no node served or started.
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

# before_me succeeds if a node that does not serve yet is starting (its port for
# other nodes is open) or, with "lower", has a lower address and so joins first.
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
    say "waiting until the service $service-nodes has $POD_IP"
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
    say "waiting for nodes that join first"
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
# Every change of a key is a Paxos round. Version 2 needs half of the messages;
# nodes of both versions work together.
conf=${CASSANDRA_CONF:-/etc/cassandra}/cassandra.yaml
if [ -w "$conf" ] && ! grep -q '^paxos_variant:' "$conf"; then
  echo 'paxos_variant: v2' >>"$conf"
fi
# The port for clients opens when the node has joined.
(until answers "$POD_IP" 9042; do sleep 5; done; touch "$data/joined") &
exec docker-entrypoint.sh cassandra -f
