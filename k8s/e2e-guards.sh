# Sourced by e2e.sh: the stage 'guards', which has what surrounds the gateways do
# its work: disruption budgets, network policies, the autoscaler, the monitor and
# the Ingress. What the cluster has no part for is skipped, and said so.

guards() {
  begin guards
  local nodes=$NODES copies=$COPIES
  NODES=1 COPIES=1
  guarded >"$work/guards.yaml"
  if ! $KUBECTL get crd servicemonitors.monitoring.coreos.com >/dev/null 2>&1; then
    without_monitor
    say "SKIPPED: the cluster knows no ServiceMonitor"
  fi
  k apply --dry-run=server -f "$work/guards.yaml" >/dev/null
  k apply -f "$work/guards.yaml"
  until_true "$PATIENCE" "the schema is installed" k wait --for=condition=Complete --timeout=5s job/pithos-bootstrap
  until_true "$PATIENCE" "2 gateways are ready" count deployment pithos 2
  configure_client
  objects
  budget
  monitor
  policies
  host_styles
  autoscaler
  $KUBECTL delete namespace "$namespace-monitoring" >/dev/null
  NODES=$nodes COPIES=$copies
  end guards
}

# guarded prints the overlay cassandra with both components. The namespace that
# may read metrics is one of ours.
guarded() {
  mkdir -p "$work/guards"
  local here
  here=$(realpath --relative-to="$(realpath "$work/guards")" "$PWD")
  smaller <k8s/kustomize/overlays/cassandra/pithos.yaml >"$work/guards/pithos.yaml"
  cat >"$work/guards/kustomization.yaml" <<CONF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$here/k8s/kustomize/overlays/cassandra]
components: [$here/k8s/kustomize/components/ingress, $here/k8s/kustomize/components/metrics]
configMapGenerator:
  - {name: pithos-config, behavior: merge, files: [pithos.yaml]}
CONF
  $KUBECTL kustomize "$work/guards" | smaller |
    sed -e 's/  replicas: 3/  replicas: 1/' -e "s/metadata.name: monitoring/metadata.name: $namespace-monitoring/"
}

# without_monitor takes the ServiceMonitor out of the manifests.
without_monitor() {
  awk 'BEGIN { RS = ORS = "\n---\n" } !/kind: ServiceMonitor/' "$work/guards.yaml" >"$work/fewer"
  mv "$work/fewer" "$work/guards.yaml"
}

# evict POD asks as 'kubectl drain' does.
evict() {
  printf '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"%s","namespace":"%s"}}' "$1" "$namespace" |
    $KUBECTL create --raw "/api/v1/namespaces/$namespace/pods/$1/eviction" -f - >"$work/eviction" 2>&1
}

# budget: of two gateways one may go at a time, and clients do not feel it.
budget() {
  local pods
  read -r -a pods <<<"$(k get pods -l app.kubernetes.io/name=pithos,app.kubernetes.io/component=gateway -o 'jsonpath={.items[*].metadata.name}')"
  traffic_begins 1
  evict "${pods[0]}" || fail "the first eviction: $(cat "$work/eviction")"
  ! evict "${pods[1]}" || fail "both gateways may go at a time"
  grep -q "disruption budget" "$work/eviction" || fail "the second eviction: $(cat "$work/eviction")"
  until_true "$PATIENCE" "one gateway was evicted, the other kept; then it may go, too" evict "${pods[1]}"
  until_true "$PATIENCE" "2 gateways are ready" count deployment pithos 2
  until_true "$PATIENCE" "those that were evicted have ended" none_leaving
  traffic_ends "while gateways were evicted, without a second try"
}

# monitor: what the ServiceMonitor picks has figures.
monitor() {
  local address
  address=$(k get endpointslices -l app.kubernetes.io/name=pithos,app.kubernetes.io/component=metrics \
    -o 'jsonpath={.items[0].endpoints[0].addresses[0]}:{.items[0].ports[?(@.name=="admin")].port}')
  $CLIENT curl -fsS "http://$address/metrics" >"$work/metrics" || fail "no figures at $address"
  grep -q '^pithos_' "$work/metrics" || fail "figures at $address: $(head -n 5 "$work/metrics")"
  say "figures at $address: $(grep -c '^pithos_' "$work/metrics") of Pithos' own"
}

# visitor NAMESPACE NAME LABELS: a pod that can open connections: Cassandra's
# image has a shell.
visitor() {
  cat <<POD | $KUBECTL -n "$1" apply -f - >/dev/null
apiVersion: v1
kind: Pod
metadata: {name: $2, labels: {$3}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, runAsUser: 999, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: visitor
      image: cassandra:5.0
      imagePullPolicy: IfNotPresent
      command: [bash, -c, "while :; do sleep 1; done"]
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
POD
  $KUBECTL -n "$1" wait --for=condition=Ready --timeout="${PATIENCE}s" "pod/$2" >/dev/null
}

# reaches NAMESPACE POD HOST PORT
reaches() {
  $KUBECTL -n "$1" exec "$2" -- timeout 5 bash -c "exec 3<>/dev/tcp/$3/$4" >/dev/null 2>&1
}

# enforced: does this cluster's network do what policies say?
enforced() {
  cat <<POLICY | k apply -f - >/dev/null
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: nothing}
spec: {podSelector: {matchLabels: {app: nothing}}, policyTypes: [Egress]}
POLICY
  visitor "$namespace" nothing "app: nothing"
  local i
  for i in 1 2 3 4 5; do
    if ! reaches "$namespace" nothing "$(k get service pithos -o 'jsonpath={.spec.clusterIP}')" 8080; then return 0; fi
    sleep 2 # what enforces it may be late to hear of it
  done
  return 1
}

# policies: who reaches whom.
policies() {
  local there=$namespace-monitoring gateway service cassandra
  $KUBECTL get namespace "$there" >/dev/null 2>&1 || $KUBECTL create namespace "$there" >/dev/null
  if ! enforced; then
    say "SKIPPED: the network of this cluster enforces no NetworkPolicy"
    return 0
  fi
  gateway=$(k get pods -l app.kubernetes.io/component=gateway -o 'jsonpath={.items[0].status.podIP}')
  cassandra=$(k get pod cassandra-0 -o 'jsonpath={.status.podIP}')
  service=$(k get service pithos -o 'jsonpath={.spec.clusterIP}')
  visitor "$namespace" stranger "app: stranger"
  visitor "$namespace" bootstrap "app.kubernetes.io/name: pithos"
  visitor "$there" prometheus "app: prometheus"
  until_true 30 "everybody speaks S3" reaches "$namespace" stranger "$service" 8080
  until_true 30 "who may speaks CQL" reaches "$namespace" bootstrap "$cassandra" 9042
  until_true 30 "who may reads figures" reaches "$there" prometheus "$gateway" 9100
  local who
  for who in "$namespace stranger $cassandra 9042" "$namespace stranger $cassandra 7000" "$namespace stranger $gateway 9100" \
    "$namespace bootstrap $cassandra 7000" "$namespace bootstrap $service 8080" "$there prometheus $cassandra 9042"; do
    # shellcheck disable=SC2086 # four words
    if reaches $who; then fail "policies do not keep off: $who"; fi
  done
  say "strangers reach S3, and neither Cassandra nor figures"
}

# host_styles: INGRESS is host:port of a controller that serves our Ingress.
host_styles() {
  if [ -z "$INGRESS" ]; then
    say "SKIPPED: INGRESS names no controller"
    return 0
  fi
  local style
  s3 mb s3://traffic >/dev/null 2>&1 || true
  for style in "" -virtual-hosts; do
    AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret $CLIENT "$work/traffic" -endpoint http://s3.example.com -dial "$INGRESS" $style \
      -bucket traffic -size 20000000 -workers 1 -for 10s >"$work/traffic.log" 2>&1 || fail "through the Ingress: $(head -n 5 "$work/traffic.log")"
    say "objects of 20 MB through the Ingress ${style:--path-style}: $(tail -n 1 "$work/traffic.log")"
  done
}

# autoscaler: load makes gateways.
autoscaler() {
  if ! $KUBECTL get --raw "/apis/metrics.k8s.io/v1beta1/namespaces/$namespace/pods" >/dev/null 2>&1; then
    say "SKIPPED: the cluster has no figures for its autoscaler"
    return 0
  fi
  until_true "$PATIENCE" "the autoscaler knows what gateways use" utilization
  workers=16 traffic_begins 10
  until_true "$PATIENCE" "a third gateway is there for the load" more_than 2
  traffic_ends "while gateways were added"
}

utilization() {
  k get hpa pithos -o 'jsonpath={.status.currentMetrics[0].resource.current.averageUtilization}' | grep -q .
}

more_than() { [ "$(k get deployment pithos -o 'jsonpath={.status.readyReplicas}')" -gt "$1" ]; }
