# Sourced by e2e.sh: the stage 'existing', gateways over a Cassandra in another
# namespace, under the names that K8ssandra gives it.

existing() {
  local there=pithos-e2e-k8ssandra nodes=$NODES copies=$COPIES
  NODES=1 COPIES=1
  namespace=$there
  clear_namespace
  k8ssandra "$there"
  begin existing
  $KUBECTL -n "$there" get secret demo-superuser -o json |
    jq 'del(.metadata.namespace, .metadata.uid, .metadata.resourceVersion, .metadata.ownerReferences)' | k create -f - >/dev/null

  smaller <k8s/rendered/existing-cassandra.yaml | sed "s/k8ssandra-operator/$there/" >"$work/existing.yaml"
  apply "$work/existing.yaml"
  over_existing
  k delete -f "$work/existing.yaml" --wait=true >/dev/null

  chart_values existing-cassandra >"$work/values.yaml"
  cat >>"$work/values.yaml" <<VALUES
  keyspace: chart
  hosts: [demo-dc1-service.$there.svc]
  credentialsSecret: demo-superuser
VALUES
  helm_waits "helm install" install pithos charts/pithos -f "$work/values.yaml"
  helm_tests
  over_existing
  end existing
  namespace=$there
  clear_namespace
  NODES=$nodes COPIES=$copies
}

# k8ssandra NAMESPACE creates one node, with the service and the Secret of the
# datacenter dc1 of a cluster demo.
k8ssandra() {
  $KUBECTL create namespace "$1" >/dev/null
  $KUBECTL label namespace "$1" pod-security.kubernetes.io/enforce=restricted >/dev/null
  smaller <k8s/cassandra/cassandra-controller.yaml | k create -f - >/dev/null
  k create -f k8s/cassandra/cassandra-service.yaml >/dev/null
  k create secret generic demo-superuser --from-literal=username=demo-superuser --from-literal=password=secret >/dev/null
  sed -n '1,/^---/p' k8s/cassandra/cassandra-service.yaml | sed -e 's/name: cassandra$/name: demo-dc1-service/' -e '/^---/d' | k create -f - >/dev/null
  say "the existing Cassandra: demo-dc1-service.$1.svc"
}

over_existing() {
  until_true "$PATIENCE" "the schema is installed" schema_installed
  until_true "$PATIENCE" "2 gateways are ready" count deployment pithos 2
  configure_client
  objects
}
