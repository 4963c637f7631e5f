#!/usr/bin/env bash
# Runs the manifests on a real cluster, from nothing to objects that were put
# and got through the service, while pods are added, killed and replaced.
#
#   k8s/e2e.sh [told] [cassandra] [embedded] [helm] [existing] [guards] [docs]     the first three, where none is named
#
#   told       k8s/cassandra and k8s/pithos by 'kubectl create', as docs/kubernetes.md has it
#   cassandra  the kustomization with a Cassandra of its own
#   embedded   the kustomization with the embedded engine
#   helm       the Helm chart, with the embedded engine and with a Cassandra of its own: helm lint,
#              install, test, upgrade, rollback, uninstall, and install over the volumes that stay
#   existing   the kustomization and the chart over a Cassandra that is there, under K8ssandra's names
#   guards     the kustomization with all components: evictions, network policies, the autoscaler, the
#              ServiceMonitor, and the Ingress, each where the cluster has what it takes
#   docs       the commands of docs/kubernetes.md, from the page itself
#
# It needs kubectl, s3cmd, Go, a cluster that has the two images, for helm and
# docs helm too, jq for docs and existing, and curl for guards. The namespaces pithos-e2e-* are its own: they are deleted first.
#
#   KUBECTL=kubectl   how to reach the cluster
#   HELM=helm         for the chart
#   CLIENT=           what to put before a command so that it reaches addresses of services
#   INGRESS=          host:port of a controller that serves Ingresses of the class nginx
#   NODES=4 COPIES=3  nodes of Cassandra at first, and copies of each row; one more node comes later
#   HEAP=, MEMORY=    heap (512M) and memory (1Gi) of a node, where they should be smaller than the manifests'
#   CPU=              CPU that nodes and gateways request (50m), likewise
#   PATIENCE=1200     seconds to wait for anything
#   KEEP=             not empty: leave the last namespace there
set -euo pipefail
cd "$(dirname "$0")/.."

KUBECTL=${KUBECTL:-kubectl} HELM=${HELM:-helm} CLIENT=${CLIENT:-} INGRESS=${INGRESS:-}
NODES=${NODES:-4} COPIES=${COPIES:-3} HEAP=${HEAP:-} MEMORY=${MEMORY:-} CPU=${CPU:-} PATIENCE=${PATIENCE:-1200} KEEP=${KEEP:-}
began=$(date +%s)
work=$(mktemp -d)
traffic=
cleanup() {
  [ -z "$traffic" ] || kill "$traffic" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

say() { printf '[%4d s] %s\n' $(($(date +%s) - began)) "$*"; }
fail() {
  say "FAILED: $*" >&2
  k get pods -o wide >&2 || true
  k get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 20 >&2 || true
  exit 1
}
k() { $KUBECTL -n "$namespace" "$@"; }

# until_true SECONDS WHAT COMMAND... repeats a command until it succeeds.
until_true() {
  local limit=$1 what=$2 end
  shift 2
  end=$(($(date +%s) + limit))
  until "$@" >"$work/last" 2>&1; do
    [ "$(date +%s)" -lt "$end" ] || fail "$what did not come within $limit s: $(tail -n 3 "$work/last")"
    sleep 3
  done
  say "$what"
}

# count KIND NAME N: exactly so many pods of a controller are ready.
count() {
  [ "$(k get "$1" "$2" -o 'jsonpath={.status.readyReplicas}/{.status.replicas}')" = "$3/$3" ]
}

# none_leaving: every gateway that was told to end has ended.
none_leaving() {
  ! k get pods -l app.kubernetes.io/name=pithos,app.kubernetes.io/component=gateway \
    -o 'jsonpath={.items[*].metadata.deletionTimestamp}' | grep -q .
}

# clear_namespace removes a namespace, without leave of Cassandra's nodes, which would
# hand their data to each other first.
clear_namespace() {
  $KUBECTL get namespace "$namespace" >/dev/null 2>&1 || return 0
  k delete replicationcontrollers,statefulsets,deployments,jobs --all --cascade=orphan >/dev/null
  k delete pods --all --force --grace-period=0 >/dev/null 2>&1 || true
  $KUBECTL delete namespace --wait=true --timeout=600s "$namespace" >/dev/null
}

begin() {
  namespace=pithos-e2e-$1
  say "== $1"
  clear_namespace
  $KUBECTL create namespace "$namespace" >/dev/null
  # The cluster itself refuses pods that ask for any privilege.
  $KUBECTL label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
  key=ADMIN secret=$(head -c 30 /dev/urandom | base64)
  k create secret generic pithos-keys --from-literal=access-key="$key" --from-literal=secret-key="$secret" \
    --from-literal=master-key="$(head -c 32 /dev/urandom | base64)" >/dev/null
}

end() {
  if [ -z "$KEEP" ]; then clear_namespace; fi
  say "== $1: passed"
}

# smaller changes manifests to what the environment asks for.
smaller() {
  sed -e "s/factor: 3/factor: $COPIES/" ${HEAP:+-e "s/MAX_HEAP_SIZE, value: .*}/MAX_HEAP_SIZE, value: $HEAP}/" -e "s/HEAP_NEWSIZE, value: .*}/HEAP_NEWSIZE, value: 128M}/" \
      -e "/name: MAX_HEAP_SIZE\$/{n;s/value: .*/value: $HEAP/;}" -e "/name: HEAP_NEWSIZE\$/{n;s/value: .*/value: 128M/;}"} \
    ${MEMORY:+-e "s/memory: \(1536Mi\|[23]Gi\)/memory: $MEMORY/"} ${CPU:+-e "s/cpu: [0-9]*m/cpu: $CPU/"}
}

# service_address prints host:port of the service as it is reached from here,
# or by CLIENT.
service_address() {
  local address port
  address=$(k get service pithos -o 'jsonpath={.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}')
  port=8080
  if [ -z "$address" ] && [ -n "$CLIENT" ]; then
    address=$(k get service pithos -o 'jsonpath={.spec.clusterIP}')
  elif [ -z "$address" ]; then
    port=$(k get service pithos -o 'jsonpath={.spec.ports[0].nodePort}')
    [ -n "$port" ] || fail "set CLIENT: nothing outside reaches a service of type ClusterIP"
    address=$($KUBECTL get nodes -o 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
  fi
  echo "$address:$port"
}

s3() { $CLIENT s3cmd -c "$work/s3cfg" "$@"; }

# configure_client finds the service.
configure_client() {
  address=$(service_address)
  cat >"$work/s3cfg" <<CONF
[default]
access_key = $key
secret_key = $secret
host_base = $address
host_bucket = $address
use_https = False
multipart_chunk_size_mb = 5
CONF
  say "the service is $address"
}

# objects makes a bucket with a small and a large object, and gets them.
objects() {
  head -c 1000 /dev/urandom >"$work/small"
  head -c 12000000 /dev/urandom >"$work/large"
  s3 mb s3://demo
  s3 put "$work/small" "$work/large" s3://demo/ >/dev/null
  s3 ls s3://demo | tee "$work/list"
  [ "$(wc -l <"$work/list")" = 2 ] || fail "ls shows another number of objects than two"
  got
  say "mb, put, ls, get"
}

# got gets what objects put, and compares it.
got() {
  for object in small large; do
    s3 get --force "s3://demo/$object" "$work/back" >/dev/null
    cmp "$work/$object" "$work/back" || fail "$object came back with other bytes"
  done
}

# traffic_begins ATTEMPTS: a client writes and reads without pause, and tries
# each request so many times.
traffic_begins() {
  s3 mb s3://traffic >/dev/null 2>&1 || true
  AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret \
    $CLIENT "$work/traffic" -endpoint "http://$address" -bucket traffic -attempts "$1" -workers "${workers:-2}" >"$work/traffic.log" 2>&1 &
  traffic=$!
}

traffic_ends() {
  kill -TERM "$traffic"
  local failed=0
  wait "$traffic" || failed=$?
  traffic=
  say "$1: $(tail -n 1 "$work/traffic.log")"
  [ $failed = 0 ] || fail "requests failed: $(head -n 5 "$work/traffic.log")"
}

# kill_pod SELECTOR: one of the pods.
kill_pod() {
  local pod
  pod=$(k get pods -l "$1" --field-selector=status.phase=Running -o 'jsonpath={.items[0].metadata.name}')
  say "kubectl delete pod $pod"
  k delete pod --wait=true --timeout="${PATIENCE}s" "$pod" >/dev/null
}

# ring_is N: the ring has so many nodes, all up and normal, and no other.
ring_is() {
  k exec "$1" -- nodetool status >"$work/ring" 2>&1 &&
    [ "$(grep -c '^UN' "$work/ring")" = "$2" ] && [ "$(grep -cE '^[UD][NLJM]' "$work/ring")" = "$2" ]
}

told() {
  begin told
  smaller <k8s/cassandra/cassandra-controller.yaml | k create -f -
  k create -f k8s/cassandra/cassandra-service.yaml
  k scale --replicas="$NODES" rc cassandra
  smaller <k8s/pithos/pithos-config.yaml | k create -f -
  k create -f k8s/pithos/pithos-bootstrap.yaml
  smaller <k8s/pithos/pithos-rc.yaml | k create -f -
  k create -f k8s/pithos/spithos.yaml
  until_true "$PATIENCE" "bootstrap has ended" bootstrap_ended
  [ "$(bootstrap_phase)" = Succeeded ] || fail "bootstrap: $(k logs pithos-bootstrap | tail -n 5)"
  until_true "$PATIENCE" "2 gateways are ready" count rc pithos 2
  until_true "$PATIENCE" "$NODES nodes of Cassandra are ready" count rc cassandra "$NODES"
  ring_is rc/cassandra "$NODES" || fail "the ring: $(cat "$work/ring")"
  configure_client
  objects

  traffic_begins 10
  k scale --replicas=3 rc pithos
  k scale --replicas=$((NODES + 1)) rc cassandra
  until_true "$PATIENCE" "3 gateways are ready" count rc pithos 3
  until_true "$PATIENCE" "$((NODES + 1)) nodes of Cassandra are ready" count rc cassandra $((NODES + 1))
  kill_pod name=pithos
  until_true "$PATIENCE" "3 gateways are ready again" count rc pithos 3
  kill_pod name=cassandra
  until_true "$PATIENCE" "$((NODES + 1)) nodes of Cassandra are ready again" count rc cassandra $((NODES + 1))
  until_true 120 "all nodes are up and normal" ring_is rc/cassandra $((NODES + 1))
  traffic_ends "while pods came and went"
  got
  end told
}

bootstrap_phase() { k get pod pithos-bootstrap -o 'jsonpath={.status.phase}'; }
bootstrap_ended() { case $(bootstrap_phase) in Succeeded | Failed) ;; *) return 1 ;; esac; }

# overlay NAME [FILE] makes a kustomization of one's own over one of ours, with what
# the environment asks for, and FILE for its pithos.yaml.
overlay() {
  mkdir -p "$work/$1"
  smaller <"${2:-k8s/kustomize/overlays/$1/pithos.yaml}" >"$work/$1/pithos.yaml"
  cat >"$work/$1/kustomization.yaml" <<CONF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$(realpath --relative-to="$(realpath "$work/$1")" "$PWD")/k8s/kustomize/overlays/$1]
configMapGenerator:
  - {name: pithos-config, behavior: merge, files: [pithos.yaml]}
CONF
  $KUBECTL kustomize "$work/$1" | smaller
}

cassandra() {
  begin cassandra
  overlay cassandra | sed "s/  replicas: 3/  replicas: $NODES/" >"$work/cassandra.yaml"
  k apply --dry-run=server -f "$work/cassandra.yaml" >/dev/null
  k apply -f "$work/cassandra.yaml"
  until_true "$PATIENCE" "the schema is installed" k wait --for=condition=Complete --timeout=5s job/pithos-bootstrap
  until_true "$PATIENCE" "2 gateways are ready" count deployment pithos 2
  until_true "$PATIENCE" "$NODES nodes of Cassandra are ready" count statefulset cassandra "$NODES"
  configure_client
  objects

  traffic_begins 1
  k rollout restart deployment/pithos
  k rollout status --timeout="${PATIENCE}s" deployment/pithos
  until_true "$PATIENCE" "the gateways from before have ended" none_leaving
  traffic_ends "while gateways were replaced, without a second try"

  traffic_begins 10
  k patch hpa pithos --type=merge -p '{"spec":{"minReplicas":3}}'
  k scale --replicas=$((NODES + 1)) statefulset cassandra
  until_true "$PATIENCE" "3 gateways are ready" count deployment pithos 3
  until_true "$PATIENCE" "$((NODES + 1)) nodes of Cassandra are ready" count statefulset cassandra $((NODES + 1))
  kill_pod app.kubernetes.io/name=pithos,app.kubernetes.io/component=gateway
  until_true "$PATIENCE" "3 gateways are ready again" count deployment pithos 3
  # Its volume comes back with it; meanwhile the other copies must do.
  if [ "$COPIES" -ge 3 ]; then
    kill_pod app.kubernetes.io/name=cassandra
  fi
  until_true "$PATIENCE" "$((NODES + 1)) nodes of Cassandra are ready again" count statefulset cassandra $((NODES + 1))
  until_true 120 "all nodes are up and normal" ring_is cassandra-0 $((NODES + 1))
  traffic_ends "while pods came and went"
  if [ "$COPIES" -lt 3 ]; then # a quorum of two is both
    kill_pod app.kubernetes.io/name=cassandra
    until_true "$PATIENCE" "$((NODES + 1)) nodes of Cassandra are ready again" count statefulset cassandra $((NODES + 1))
    until_true 120 "all nodes are up and normal" ring_is cassandra-0 $((NODES + 1))
  fi
  got
  end cassandra
}

embedded() {
  begin embedded
  overlay embedded >"$work/embedded.yaml"
  k apply --dry-run=server -f "$work/embedded.yaml" >/dev/null
  k apply -f "$work/embedded.yaml"
  embedded_objects
  end embedded
}

# embedded_objects puts objects, kills the pod, and gets them from its volume.
embedded_objects() {
  until_true "$PATIENCE" "Pithos is ready" count statefulset pithos 1
  configure_client
  objects
  kill_pod app.kubernetes.io/name=pithos
  until_true "$PATIENCE" "Pithos is ready again" count statefulset pithos 1
  got
  say "objects outlive the pod"
}

h() { "$HELM" --namespace "$namespace" "$@"; }

# chart_values MODE: what the environment asks for, as values of the chart; more
# of cassandra's may follow.
chart_values() {
  cat <<VALUES
mode: $1
resources: {requests: {cpu: ${CPU:-250m}, memory: 256Mi}, limits: {memory: 512Mi}}
cassandra:
  nodes: $NODES
  copies: $COPIES
  ${HEAP:+heap: {max: $HEAP, new: 128M\}}
  resources: {requests: {cpu: ${CPU:-500m}, memory: ${MEMORY:-2Gi}}, limits: {memory: ${MEMORY:-3Gi}}}
VALUES
}

# helm_waits WHAT VERB...: Helm's own waiting, for jobs too, until all is ready.
helm_waits() {
  local what=$1
  shift
  h "$@" --wait --wait-for-jobs --timeout "${PATIENCE}s" >"$work/helm" 2>&1 || fail "helm $1: $(tail -n 5 "$work/helm")"
  say "$what"
}

helm_tests() {
  helm_waits "helm upgrade, with its test" upgrade pithos charts/pithos --reuse-values --set tests.enabled=true
  h test pithos --timeout 120s >"$work/helm" 2>&1 || fail "helm test: $(tail -n 10 "$work/helm")"
  grep -q 'Phase: *Succeeded' "$work/helm" || fail "helm test ran nothing: $(cat "$work/helm")"
  say "helm test"
}

# helm_cycle MODE ATTEMPTS: install, upgrade, rollback, uninstall, and install
# again over the volumes that stay. Each replaces all gateways, and a client that
# tries each request so many times sees none fail.
helm_cycle() {
  begin "helm-$1"
  chart_values "$1" >"$work/values.yaml"
  helm_waits "helm install" install pithos charts/pithos -f "$work/values.yaml"
  helm_tests
  configure_client
  objects

  traffic_begins "$2"
  helm_waits "helm upgrade" upgrade pithos charts/pithos --reuse-values --set config.logging.level=debug
  [ "$(level)" = debug ] || fail "the upgrade did not reach pithos.yaml"
  helm_waits "helm rollback" rollback pithos 1
  [ "$(level)" = info ] || fail "the rollback did not reach pithos.yaml"
  until_true "$PATIENCE" "the gateways from before have ended" none_leaving
  traffic_ends "while helm replaced all gateways twice"
  helm_tests
  got

  h uninstall pithos --wait --timeout "${PATIENCE}s" >"$work/helm" 2>&1 || fail "helm uninstall: $(tail -n 5 "$work/helm")"
  say "helm uninstall"
  until_true 120 "only volumes and keys are left" nothing_left
  helm_waits "helm install, once more" install pithos charts/pithos -f "$work/values.yaml"
  configure_client
  got
  say "objects outlive the release"
  end "helm-$1"
}

level() { k get configmap pithos-config -o 'jsonpath={.data.pithos\.yaml}' | sed -n 's/^ *level: //p'; }

nothing_left() {
  local left
  left=$(k get all,configmaps,secrets,networkpolicies,poddisruptionbudgets,horizontalpodautoscalers,ingresses -o name |
    grep -v -e configmap/kube-root-ca.crt -e secret/pithos-keys) || return 0
  echo "$left"
  return 1
}

chart() {
  local values
  for values in charts/pithos/ci/*-values.yaml; do
    "$HELM" lint --strict charts/pithos -f "$values" >"$work/helm" 2>&1 || { cat "$work/helm" >&2; exit 1; }
    say "helm lint --strict -f $values"
  done
  helm_cycle embedded 10
  helm_cycle cassandra 1
}

. k8s/e2e-docs.sh
. k8s/e2e-existing.sh
. k8s/e2e-guards.sh

CGO_ENABLED=0 go build -o "$work/traffic" ./k8s/traffic
for stage in "${@:-told}"; do
  case $stage in
    told | cassandra | embedded | helm | existing | guards | docs) ;;
    *) echo "there is no $stage: told, cassandra, embedded, helm, existing, guards or docs" >&2; exit 2 ;;
  esac
done
if [ $# = 0 ]; then set -- told cassandra embedded; fi
for stage in "$@"; do "${stage/helm/chart}"; done
say "passed: $*"
