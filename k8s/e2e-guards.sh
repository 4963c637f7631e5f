# Sourced by e2e.sh: the stage 'guards', which tests the objects around the
# gateways: disruption budgets, network policies, the autoscaler, the
# ServiceMonitor and the Ingress. It skips, and says so, what the cluster lacks
# the controller for.

guards() {
  begin guards
  local nodes=$NODES copies=$COPIES
  NODES=1 COPIES=1
  chart_values cassandra >"$work/values.yaml"
  cat >>"$work/values.yaml" <<VALUES
ingress: {enabled: true, tlsSecret: pithos-tls}
metrics:
  enabled: true
  from: {kubernetes.io/metadata.name: $namespace-monitoring}
VALUES
  if ! $KUBECTL get crd servicemonitors.monitoring.coreos.com >/dev/null 2>&1; then
    echo "  serviceMonitor: {enabled: false}" >>"$work/values.yaml"
    say "SKIPPED: the cluster has no definition of ServiceMonitor"
  fi
  h template pithos charts/pithos -f "$work/values.yaml" >"$work/guards.yaml"
  apply "$work/guards.yaml"
  until_true "$PATIENCE" "the schema is installed" schema_installed
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

# evict POD evicts as 'kubectl drain' does.
evict() {
  printf '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"%s","namespace":"%s"}}' "$1" "$namespace" |
    $KUBECTL create --raw "/api/v1/namespaces/$namespace/pods/$1/eviction" -f - >"$work/eviction" 2>&1
}

# budget checks that one of two gateways can be evicted at a time, and that no
# request fails meanwhile.
budget() {
  local pods
  read -r -a pods <<<"$(k get pods -l app.kubernetes.io/name=pithos,app.kubernetes.io/component=gateway -o 'jsonpath={.items[*].metadata.name}')"
  traffic_begins 1
  evict "${pods[0]}" || fail "the first eviction: $(cat "$work/eviction")"
  ! evict "${pods[1]}" || fail "both gateways could be evicted at a time"
  grep -q "disruption budget" "$work/eviction" || fail "the second eviction: $(cat "$work/eviction")"
  until_true "$PATIENCE" "the second gateway can be evicted after the first was replaced" evict "${pods[1]}"
  until_true "$PATIENCE" "2 gateways are ready" count deployment pithos 2
  until_true "$PATIENCE" "the evicted gateways have ended" none_leaving
  traffic_ends "while gateways were evicted, without retries"
}

# monitor checks that the endpoints of the ServiceMonitor have metrics.
monitor() {
  local address
  address=$(k get endpointslices -l app.kubernetes.io/name=pithos,app.kubernetes.io/component=metrics \
    -o 'jsonpath={.items[0].endpoints[0].addresses[0]}:{.items[0].ports[?(@.name=="admin")].port}')
  $CLIENT curl -fsS "http://$address/metrics" >"$work/metrics" || fail "no metrics at $address"
  grep -q '^pithos_' "$work/metrics" || fail "metrics at $address: $(head -n 5 "$work/metrics")"
  say "$(grep -c '^pithos_' "$work/metrics") metrics at $address"
}

# visitor NAMESPACE NAME LABELS creates a pod that can open connections.
# Cassandra's image has a shell.
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

# enforced checks that the cluster's network enforces policies.
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
    sleep 2 # the network may apply it later
  done
  return 1
}

# policies checks which pods reach which ports.
policies() {
  local there=$namespace-monitoring gateway service cassandra
  $KUBECTL get namespace "$there" >/dev/null 2>&1 || $KUBECTL create namespace "$there" >/dev/null
  if ! enforced; then
    say "SKIPPED: the network of this cluster enforces no NetworkPolicy"
    return 0
  fi
  gateway=$(k get pods -l app.kubernetes.io/component=gateway -o 'jsonpath={.items[0].status.podIP}')
  cassandra=$(k get pod pithos-cassandra-0 -o 'jsonpath={.status.podIP}')
  service=$(k get service pithos -o 'jsonpath={.spec.clusterIP}')
  visitor "$namespace" stranger "app: stranger"
  visitor "$namespace" bootstrap "app.kubernetes.io/name: pithos"
  visitor "$there" prometheus "app: prometheus"
  until_true 30 "any pod reaches S3" reaches "$namespace" stranger "$service" 8080
  until_true 30 "bootstrap reaches CQL" reaches "$namespace" bootstrap "$cassandra" 9042
  until_true 30 "Prometheus reads metrics" reaches "$there" prometheus "$gateway" 9100
  local path
  for path in "$namespace stranger $cassandra 9042" "$namespace stranger $cassandra 7000" "$namespace stranger $gateway 9100" \
    "$namespace bootstrap $cassandra 7000" "$namespace bootstrap $service 8080" "$there prometheus $cassandra 9042"; do
    # shellcheck disable=SC2086 # four words
    if reaches $path; then fail "policies allow: $path"; fi
  done
  say "other pods reach S3, and neither Cassandra nor metrics"
}

# host_styles puts and gets through the Ingress, with both styles of host.
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

# autoscaler checks that load adds gateways.
autoscaler() {
  if ! $KUBECTL get --raw "/apis/metrics.k8s.io/v1beta1/namespaces/$namespace/pods" >/dev/null 2>&1; then
    say "SKIPPED: the cluster has no metrics for the autoscaler"
    return 0
  fi
  until_true "$PATIENCE" "the autoscaler has the CPU of the gateways" utilization
  workers=16 traffic_begins 10
  until_true "$PATIENCE" "the load has added a third gateway" more_than 2
  traffic_ends "while gateways were added"
}

utilization() {
  k get hpa pithos -o 'jsonpath={.status.currentMetrics[0].resource.current.averageUtilization}' | grep -q .
}

more_than() { [ "$(k get deployment pithos -o 'jsonpath={.status.readyReplicas}')" -gt "$1" ]; }
