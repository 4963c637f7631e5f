#!/usr/bin/env bash
# Runs the manifests and the chart on a real cluster: it starts with an empty
# namespace and ends with objects that were put and got through the service, while
# pods are added, killed and replaced.
#
#   k8s/e2e.sh [create] [cassandra] [embedded] [helm] [gitops] [existing] [guards] [docs]     without names the first three
#
#   create     k8s/cassandra and k8s/pithos by 'kubectl create', as docs/kubernetes.md describes it
#   cassandra  k8s/rendered/cassandra.yaml by 'kubectl apply'
#   embedded   k8s/rendered/embedded.yaml by 'kubectl apply', a second replica, a volume that root owns
#   helm       the Helm chart, with the embedded engine and with a Cassandra of its own: helm lint, template,
#              install, test, upgrade, rollback, uninstall, and install over the volumes that stay
#   gitops     'helm template' and 'kubectl apply', repeated and with another image tag (IMAGE2)
#   existing   rendered file and chart over a Cassandra that exists, under K8ssandra's names
#   guards     the chart with Ingress and metrics: evictions, network policies, the autoscaler, the
#              ServiceMonitor, and the Ingress, as far as the cluster has what they need
#   docs       the commands of docs/kubernetes.md, taken from the page
#
# It needs kubectl, s3cmd, Go, a cluster that has the two images, helm for helm, gitops, existing, guards and
# docs, jq for docs and existing, and curl for guards. It deletes the namespaces pithos-e2e-* first.
#
#   KUBECTL=kubectl   command that reaches the cluster
#   HELM=helm         command that runs Helm
#   CLIENT=           prefix of a command that has to reach addresses of services
#   INGRESS=          host:port of a controller that serves Ingresses of the class nginx
#   IMAGE2=           another tag of the image localhost/pithos, for gitops
#   NODES=4 COPIES=3  nodes of Cassandra at first, and copies of each row; one more node is added later
#   HEAP=, MEMORY=    heap (512M) and memory (1Gi) of a node, to make them smaller than in the manifests
#   CPU=              CPU that nodes and gateways request (50m), likewise
#   PATIENCE=1200     seconds to wait for anything
#   KEEP=             not empty: keep the last namespace
set -euo pipefail
cd "$(dirname "$0")/.."

KUBECTL=${KUBECTL:-kubectl} HELM=${HELM:-helm} CLIENT=${CLIENT:-} INGRESS=${INGRESS:-} IMAGE2=${IMAGE2:-}
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
    [ "$(date +%s)" -lt "$end" ] || fail "not within $limit s: $what: $(tail -n 3 "$work/last")"
    sleep 3
  done
  say "$what"
}

# count KIND NAME N checks that the controller has N pods, all of them ready.
count() {
  [ "$(k get "$1" "$2" -o 'jsonpath={.status.readyReplicas}/{.status.replicas}')" = "$3/$3" ]
}

# none_leaving checks that no gateway is terminating.
none_leaving() {
  ! k get pods -l app.kubernetes.io/name=pithos,app.kubernetes.io/component=gateway \
    -o 'jsonpath={.items[*].metadata.deletionTimestamp}' | grep -q .
}

# clear_namespace deletes a namespace. It kills Cassandra's nodes, which would
# otherwise hand their data to each other first.
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
  # The cluster refuses pods that ask for any privilege.
  $KUBECTL label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
  key=ADMIN secret=$(head -c 30 /dev/urandom | base64)
  k create secret generic pithos-keys --from-literal=access-key="$key" --from-literal=secret-key="$secret" \
    --from-literal=master-key="$(head -c 32 /dev/urandom | base64)" >/dev/null
}

end() {
  if [ -z "$KEEP" ]; then clear_namespace; fi
  say "== $1: passed"
}

# smaller changes manifests as the environment says.
smaller() {
  sed -e "s/factor: 3/factor: $COPIES/" ${HEAP:+-e "s/MAX_HEAP_SIZE, value: .*}/MAX_HEAP_SIZE, value: $HEAP}/" -e "s/HEAP_NEWSIZE, value: .*}/HEAP_NEWSIZE, value: 128M}/" \
      -e "/name: MAX_HEAP_SIZE\$/{n;s/value: .*/value: $HEAP/;}" -e "/name: HEAP_NEWSIZE\$/{n;s/value: .*/value: 128M/;}"} \
    ${MEMORY:+-e "s/memory: \(1536Mi\|[23]Gi\)/memory: $MEMORY/"} ${CPU:+-e "s/cpu: [0-9]*m/cpu: $CPU/"}
}

# service_address prints host:port of the service as this machine, or CLIENT,
# reaches it.
service_address() {
  local address port
  address=$(k get service pithos -o 'jsonpath={.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}')
  port=8080
  if [ -z "$address" ] && [ -n "$CLIENT" ]; then
    address=$(k get service pithos -o 'jsonpath={.spec.clusterIP}')
  elif [ -z "$address" ]; then
    port=$(k get service pithos -o 'jsonpath={.spec.ports[0].nodePort}')
    [ -n "$port" ] || fail "set CLIENT: a service of type ClusterIP is not reachable from outside the cluster"
    address=$($KUBECTL get nodes -o 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
  fi
  echo "$address:$port"
}

s3() { $CLIENT s3cmd -c "$work/s3cfg" "$@"; }

# configure_client writes the settings of s3cmd for the service.
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

# objects creates a bucket, puts a small and a large object, and gets them.
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

# got gets the objects again, and compares them.
got() {
  for object in small large; do
    s3 get --force "s3://demo/$object" "$work/back" >/dev/null
    cmp "$work/$object" "$work/back" || fail "$object came back with other bytes"
  done
}

# traffic_begins ATTEMPTS starts a client that writes and reads without a pause,
# and sends each request up to ATTEMPTS times.
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

# kill_pod SELECTOR deletes one of the pods.
kill_pod() {
  local pod
  pod=$(k get pods -l "$1" --field-selector=status.phase=Running -o 'jsonpath={.items[0].metadata.name}')
  say "kubectl delete pod $pod"
  k delete pod --wait=true --timeout="${PATIENCE}s" "$pod" >/dev/null
}

# ring_is POD N checks that the ring has N nodes, all up and normal.
ring_is() {
  k exec "$1" -- nodetool status >"$work/ring" 2>&1 &&
    [ "$(grep -c '^UN' "$work/ring")" = "$2" ] && [ "$(grep -cE '^[UD][NLJM]' "$work/ring")" = "$2" ]
}

create() {
  begin create
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
  traffic_ends "while pods were added and killed"
  got
  end create
}

bootstrap_phase() { k get pod pithos-bootstrap -o 'jsonpath={.status.phase}'; }
bootstrap_ended() { case $(bootstrap_phase) in Succeeded | Failed) ;; *) return 1 ;; esac; }

# apply FILE applies manifests, after the API server has checked them.
apply() {
  k apply --dry-run=server -f "$1" >/dev/null
  k apply -f "$1"
}

# schema_installed checks that every bootstrap Job has completed.
schema_installed() { k wait --for=condition=Complete --timeout=5s job -l app.kubernetes.io/component=bootstrap; }

cassandra() {
  begin cassandra
  smaller <k8s/rendered/cassandra.yaml | sed "s/  replicas: 3/  replicas: $NODES/" >"$work/cassandra.yaml"
  apply "$work/cassandra.yaml"
  until_true "$PATIENCE" "the schema is installed" schema_installed
  until_true "$PATIENCE" "2 gateways are ready" count deployment pithos 2
  until_true "$PATIENCE" "$NODES nodes of Cassandra are ready" count statefulset pithos-cassandra "$NODES"
  configure_client
  objects

  traffic_begins 1
  k rollout restart deployment/pithos
  k rollout status --timeout="${PATIENCE}s" deployment/pithos
  until_true "$PATIENCE" "the old gateways have ended" none_leaving
  traffic_ends "while gateways were replaced, without retries"

  traffic_begins 10
  k patch hpa pithos --type=merge -p '{"spec":{"minReplicas":3}}'
  k scale --replicas=$((NODES + 1)) statefulset pithos-cassandra
  until_true "$PATIENCE" "3 gateways are ready" count deployment pithos 3
  until_true "$PATIENCE" "$((NODES + 1)) nodes of Cassandra are ready" count statefulset pithos-cassandra $((NODES + 1))
  kill_pod app.kubernetes.io/name=pithos,app.kubernetes.io/component=gateway
  until_true "$PATIENCE" "3 gateways are ready again" count deployment pithos 3
  # Its volume is used again; meanwhile the other copies serve.
  if [ "$COPIES" -ge 3 ]; then
    kill_pod app.kubernetes.io/name=cassandra
  fi
  until_true "$PATIENCE" "$((NODES + 1)) nodes of Cassandra are ready again" count statefulset pithos-cassandra $((NODES + 1))
  until_true 120 "all nodes are up and normal" ring_is pithos-cassandra-0 $((NODES + 1))
  traffic_ends "while pods were added and killed"
  if [ "$COPIES" -lt 3 ]; then # a quorum of two copies needs both
    kill_pod app.kubernetes.io/name=cassandra
    until_true "$PATIENCE" "$((NODES + 1)) nodes of Cassandra are ready again" count statefulset pithos-cassandra $((NODES + 1))
    until_true 120 "all nodes are up and normal" ring_is pithos-cassandra-0 $((NODES + 1))
  fi
  got
  end cassandra
}

embedded() {
  begin embedded
  smaller <k8s/rendered/embedded.yaml >"$work/embedded.yaml"
  apply "$work/embedded.yaml"
  embedded_objects
  second_replica
  end embedded
}

# second_replica scales the StatefulSet: the second pod must refuse to serve, and
# all requests must still reach the first.
second_replica() {
  k scale --replicas=2 statefulset pithos >/dev/null
  until_true "$PATIENCE" "a second pod refuses to serve" refuses pithos-1
  [ "$(k get endpointslices -l kubernetes.io/service-name=pithos -o 'jsonpath={.items[*].endpoints[*].targetRef.name}')" = pithos-0 ] ||
    fail "the service selects other pods than pithos-0"
  got
  k scale --replicas=1 statefulset pithos >/dev/null
  until_true "$PATIENCE" "one pod is ready" count statefulset pithos 1
}

refuses() { { k logs "$1" || true; k logs --previous "$1" || true; } 2>&1 | grep -F 'the embedded engine serves from one pod'; }

# embedded_objects puts objects, deletes the pod, and gets them from its volume.
embedded_objects() {
  until_true "$PATIENCE" "Pithos is ready" count statefulset pithos 1
  configure_client
  objects
  kill_pod app.kubernetes.io/name=pithos
  until_true "$PATIENCE" "Pithos is ready again" count statefulset pithos 1
  got
  say "the objects are there with the new pod"
}

h() { "$HELM" --namespace "$namespace" "$@"; }

# chart_values MODE prints values of the chart as the environment says. The last
# key is cassandra: more of its values may follow.
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

# helm_waits WHAT VERB... runs helm, which waits until everything is ready and the
# Jobs have completed.
helm_waits() {
  local what=$1
  shift
  h "$@" --wait --wait-for-jobs --timeout "${PATIENCE}s" >"$work/helm" 2>&1 || fail "helm $1: $(tail -n 5 "$work/helm")"
  say "$what"
}

helm_tests() {
  helm_waits "helm upgrade, with its test" upgrade pithos charts/pithos --reuse-values --set tests.enabled=true
  h test pithos --timeout 120s >"$work/helm" 2>&1 || fail "helm test: $(tail -n 10 "$work/helm")"
  grep -q 'Phase: *Succeeded' "$work/helm" || fail "helm test ran no test: $(cat "$work/helm")"
  say "helm test"
}

# helm_cycle MODE ATTEMPTS runs install, upgrade, rollback, uninstall, and install
# again over the volumes that stay. Upgrade and rollback replace all gateways; no
# request of a client that sends each up to ATTEMPTS times may fail meanwhile.
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
  until_true "$PATIENCE" "the old gateways have ended" none_leaving
  traffic_ends "while helm replaced all gateways twice"
  helm_tests
  got

  h uninstall pithos --wait --timeout "${PATIENCE}s" >"$work/helm" 2>&1 || fail "helm uninstall: $(tail -n 5 "$work/helm")"
  say "helm uninstall"
  until_true 120 "only volumes and keys are left" nothing_left
  helm_waits "helm install again" install pithos charts/pithos -f "$work/values.yaml"
  configure_client
  got
  say "the objects are there with the new release"
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
  for values in charts/pithos/ci/*-values.yaml k8s/rendered/*-values.yaml; do
    "$HELM" lint --strict charts/pithos -f "$values" >"$work/helm" 2>&1 || { cat "$work/helm" >&2; exit 1; }
    say "helm lint --strict -f $values"
  done
  for values in k8s/rendered/*-values.yaml; do
    "$HELM" template pithos charts/pithos --namespace storage -f "$values" >"$work/rendered"
    grep -v '^# Rendered\|^#   helm' "${values/-values/}" | cmp - "$work/rendered" || fail "helm template differs from ${values/-values/}"
    say "helm template -f $values"
  done
  helm_cycle embedded 10
  helm_cycle cassandra 1
}

generations() { k get deployments,statefulsets,jobs,services -o 'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.metadata.generation}{"\n"}{end}'; }

# gitops applies the chart's output repeatedly, as GitOps tools do.
gitops() {
  [ -n "$IMAGE2" ] || { say "SKIPPED: IMAGE2 names no second image"; return 0; }
  begin gitops
  local nodes=$NODES copies=$COPIES
  NODES=1 COPIES=1
  chart_values cassandra >"$work/values.yaml"
  h template pithos charts/pithos -f "$work/values.yaml" >"$work/first.yaml"
  apply "$work/first.yaml"
  until_true "$PATIENCE" "the schema is installed" schema_installed
  until_true "$PATIENCE" "2 gateways are ready" count deployment pithos 2
  configure_client
  objects
  [ -z "$(k get pods -o name | grep -e -test || true)" ] || fail "the test pod runs as an ordinary pod"
  # kubectl says "configured" for defaults that the manifests lack; only a new
  # generation is a change.
  generations >"$work/before"
  k apply -f "$work/first.yaml" >/dev/null
  generations | cmp - "$work/before" || fail "the same output changes something when it is applied again"
  h template pithos charts/pithos -f "$work/values.yaml" --set image.tag="$IMAGE2" >"$work/second.yaml"
  traffic_begins 1
  apply "$work/second.yaml"
  until_true "$PATIENCE" "both bootstrap Jobs have completed" schema_installed
  [ "$(k get jobs -o name | wc -l)" = 2 ] || fail "Jobs: $(k get jobs -o name)"
  k rollout status --timeout="${PATIENCE}s" deployment/pithos
  until_true "$PATIENCE" "the old gateways have ended" none_leaving
  traffic_ends "while the image was replaced, without retries"
  [ "$(k get pods -l app.kubernetes.io/component=gateway -o 'jsonpath={.items[*].spec.containers[0].image}')" = "localhost/pithos:$IMAGE2 localhost/pithos:$IMAGE2" ] ||
    fail "gateways run another image"
  got
  NODES=$nodes COPIES=$copies
  end gitops
}

. k8s/e2e-docs.sh
. k8s/e2e-existing.sh
. k8s/e2e-guards.sh

CGO_ENABLED=0 go build -o "$work/traffic" ./k8s/traffic
for stage in "${@:-create}"; do
  case $stage in
    create | cassandra | embedded | helm | gitops | existing | guards | docs) ;;
    *) echo "unknown stage $stage: create, cassandra, embedded, helm, gitops, existing, guards or docs" >&2; exit 2 ;;
  esac
done
if [ $# = 0 ]; then set -- create cassandra embedded; fi
for stage in "$@"; do "${stage/helm/chart}"; done
say "passed: $*"
