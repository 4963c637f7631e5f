# Sourced by e2e.sh: the stage 'docs', which takes the commands from
# docs/kubernetes.md and runs them as a reader would. It renames the page's
# namespaces to pithos-e2e-docs*, and makes manifests and values smaller as the
# environment says. It changes nothing else.

page=docs/kubernetes.md

# page_block SECTION N prints the Nth block of code of a section, and records its
# lines as run.
page_block() {
  awk -v section="$1" -v wanted="$2" '
    /^#/ { inside = $0 ~ "^#+ " section "$"; n = 0; code = 0 }
    /^    / { if (inside && !code) n++; code = 1; if (inside && n == wanted) print substr($0, 5); next }
    { code = 0 }' "$page" | tee "$work/block"
  [ -s "$work/block" ] || fail "$page has no block $2 below \"$1\""
  cat "$work/block" >>"$work/ran"
}

# page_inline COMMAND prints a command, which the text of the page must have.
page_inline() {
  grep -qF "\`$1\`" "$page" || fail "$page lacks: $1"
  echo "$1"
}

# run_page NAMESPACE runs its input line by line. A command that names no namespace
# runs in NAMESPACE.
run_page() {
  local line
  while IFS= read -r line; do
    say "\$ $line"
    line=${line//namespace storage/namespace pithos-e2e-docs-storage}
    line=${line//-n storage/-n pithos-e2e-docs-storage}
    line=${line//-n k8ssandra-operator/-n pithos-e2e-docs-k8ssandra}
    (cd "$work/page" && PAGE_NAMESPACE=$1 PATH="$work/bin:$PATH" bash -euo pipefail -c "$line") </dev/null >"$work/out" 2>&1 ||
      fail "it ended with $?: $(tail -n 5 "$work/out")"
  done
}

# page_tools copies manifests and chart, makes them smaller as the environment
# says, and writes the kubectl and helm that the page's commands call.
page_tools() {
  mkdir -p "$work/page" "$work/bin"
  rm -rf "$work/page/k8s" "$work/page/charts"
  cp -R k8s charts "$work/page/"
  local file
  find "$work/page/k8s/cassandra" "$work/page/k8s/pithos" "$work/page/k8s/rendered" -name '*.yaml' | while read -r file; do
    smaller <"$file" >"$work/fewer" && cp "$work/fewer" "$file"
  done
  NODES=3 chart_values embedded | sed '/^mode:/d' >"$work/values.yaml"
  cat >"$work/bin/kubectl" <<SHIM
#!/bin/bash
for argument in "\$@"; do
  case \$argument in -n | --namespace) exec $KUBECTL "\$@" ;; namespace) exec $KUBECTL "\$@" ;; esac
done
exec $KUBECTL -n "\$PAGE_NAMESPACE" "\$@"
SHIM
  cat >"$work/bin/helm" <<SHIM
#!/bin/bash
case \$1 in install) exec "$HELM" "\$@" -f "$work/values.yaml" ;; esac
exec "$HELM" "\$@"
SHIM
  chmod +x "$work/bin/kubectl" "$work/bin/helm"
}

page_namespace() {
  namespace=$1
  clear_namespace
  say "== the page, in namespace $namespace"
}

restricted() { $KUBECTL label --overwrite namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null; }

# page_keys reads the operator's key from the Secret.
page_keys() {
  key=ADMIN secret=$(k get secret pithos-keys -o 'jsonpath={.data.secret-key}' | base64 -d)
}

docs() {
  : >"$work/ran"
  page_tools
  page_create
  page_apply
  page_helm
  page_grow
  page_complete
}

page_create() {
  page_namespace pithos-e2e-docs
  page_block Images 1 | run_page "$namespace"
  [ "$(grep -l 'image: registry.example.com/pithos:1.0' "$work"/page/k8s/pithos/*.yaml | wc -l)" = 2 ] || fail "the image was not replaced in two files"
  page_tools

  $KUBECTL create namespace "$namespace" >/dev/null
  restricted
  page_block "From nothing to a service" 1 | run_page "$namespace"
  until_true "$PATIENCE" "bootstrap runs" k wait --for=condition=Ready --timeout=5s pod/pithos-bootstrap
  page_block "From nothing to a service" 2 | run_page "$namespace"
  until_true 60 "bootstrap has ended" bootstrap_ended
  [ "$(bootstrap_phase)" = Succeeded ] || fail "bootstrap: $(k logs pithos-bootstrap | tail -n 5)"
  until_true "$PATIENCE" "4 nodes of Cassandra are ready" count rc cassandra 4
  until_true "$PATIENCE" "2 gateways are ready" count rc pithos 2
  page_block "From nothing to a service" 3 | run_page "$namespace"
  page_keys
  [ "$(cat "$work/out")" = "$secret" ] || fail "the page shows another secret"
  configure_client
  objects
  page_forward
  page_inline "kubectl delete pod pithos-bootstrap" | run_page "$namespace"
  echo "kubectl create -f k8s/pithos/pithos-bootstrap.yaml" | run_page "$namespace"
  until_true "$PATIENCE" "bootstrap has ended again" bootstrap_ended
  [ "$(bootstrap_phase)" = Succeeded ] || fail "bootstrap: $(k logs pithos-bootstrap | tail -n 5)"

  page_block Scaling 1 | run_page "$namespace"
  until_true "$PATIENCE" "6 gateways are ready" count rc pithos 6
  until_true "$PATIENCE" "5 nodes of Cassandra are ready" count rc cassandra 5
  page_dead_node

  page_block Keys 1 | run_page "$namespace"
  page_block Keys 2 | run_page "$namespace"
  until_true "$PATIENCE" "6 gateways are ready with another secret" all_new
  s3 ls s3://demo >/dev/null 2>&1 && fail "the old secret is still valid"
  page_keys
  configure_client
  got
  say "the new secret is valid, the old one is not"
  clear_namespace
}

all_new() { count rc pithos 6 && none_leaving; }

# page_forward reaches the service at localhost of CLIENT.
page_forward() {
  local command forward
  command=$(page_inline "kubectl port-forward service/pithos 8080:8080")
  say "\$ $command"
  PAGE_NAMESPACE=$namespace PATH="$work/bin:$PATH" $command >"$work/forward" 2>&1 &
  forward=$!
  until_true 30 "localhost:8080 answers" $CLIENT curl -fsS http://localhost:8080/-/ready
  kill "$forward"
  wait "$forward" 2>/dev/null || true
}

# page_dead_node kills a node, and removes it with the page's commands.
page_dead_node() {
  local pod command id
  pod=$(k get pods -l name=cassandra -o 'jsonpath={.items[0].metadata.name}')
  k delete pod --force --grace-period=0 "$pod" >/dev/null 2>&1
  until_true "$PATIENCE" "a node is down" node_down
  page_block Scaling 2 >"$work/commands"
  head -n 1 "$work/commands" | run_page "$namespace"
  id=$(awk '/^DN/ { print $(NF - 1) }' "$work/out")
  command=$(tail -n 1 "$work/commands")
  [ "$command" != "${command/<*>/}" ] || fail "the command has no place to fill in: $command"
  echo "${command/<*>/$id}" | run_page "$namespace"
  until_true "$PATIENCE" "5 nodes of Cassandra are ready again" count rc cassandra 5
  until_true "$PATIENCE" "all nodes are up and normal" ring_is rc/cassandra 5
}

node_down() { k exec rc/cassandra -- nodetool status 2>/dev/null | grep -q '^DN'; }

# page_apply installs the rendered file, and runs the commands of the operation of
# gateways, bootstrap and Cassandra.
page_apply() {
  page_namespace pithos-e2e-docs-storage
  page_block "The Helm chart" 1 | head -n 2 | run_page none
  restricted
  page_block "Without Helm" 1 | run_page none
  until_true "$PATIENCE" "the schema is installed" schema_installed
  until_true "$PATIENCE" "2 gateways are ready" count deployment pithos 2
  until_true "$PATIENCE" "3 nodes of Cassandra are ready" count statefulset pithos-cassandra 3
  page_keys
  configure_client
  objects
  page_block "Without Helm" 2 | run_page none
  grep -q 'image: registry.example.com/pithos:1.0$' "$work/page/pithos.yaml" && grep -q '^  replicas: 5$' "$work/page/pithos.yaml" || fail "helm template ignores the values"
  page_inline "kubectl -n storage delete job -l app.kubernetes.io/component=bootstrap" | run_page none
  page_block "Without Helm" 1 | run_page none
  until_true "$PATIENCE" "the schema is unchanged" schema_installed
  page_inline "kubectl -n storage patch hpa pithos --type=merge -p '{\"spec\":{\"minReplicas\":4}}'" | run_page none
  until_true "$PATIENCE" "4 gateways are ready" count deployment pithos 4

  k scale --replicas=4 statefulset pithos-cassandra >/dev/null
  until_true "$PATIENCE" "4 nodes of Cassandra are ready" count statefulset pithos-cassandra 4
  page_block Cassandra 1 | run_page none
  until_true "$PATIENCE" "3 nodes of Cassandra are ready" count statefulset pithos-cassandra 3
  until_true 120 "all nodes are up and normal" ring_is pithos-cassandra-0 3
  got
  page_existing
  clear_namespace
}

# page_existing copies the Secret of a Cassandra as K8ssandra makes it.
page_existing() {
  local there=pithos-e2e-docs-k8ssandra
  $KUBECTL delete namespace --ignore-not-found "$there" >/dev/null
  $KUBECTL create namespace "$there" >/dev/null
  $KUBECTL -n "$there" create secret generic demo-superuser --from-literal=username=demo --from-literal=password=secret >/dev/null
  page_block "A Cassandra that exists" 1 | run_page none
  [ "$(k get secret demo-superuser -o 'jsonpath={.data.password}' | base64 -d)" = secret ] || fail "the Secret was not copied"
  $KUBECTL delete namespace "$there" >/dev/null
}

page_helm() {
  page_namespace pithos-e2e-docs-storage
  page_block "The Helm chart" 1 | run_page none
  restricted
  until_true "$PATIENCE" "2 gateways are ready" count deployment pithos 2
  until_true "$PATIENCE" "3 nodes of Cassandra are ready" count statefulset pithos-cassandra 3
  page_keys
  configure_client
  objects
  page_block "The Helm chart" 2 | run_page none
  if $KUBECTL get crd servicemonitors.monitoring.coreos.com >/dev/null 2>&1; then
    page_block "The Helm chart" 3 | run_page none
    [ "$(k get ingress pithos -o 'jsonpath={.spec.rules[*].host}')" = "s3.example.com *.s3.example.com" ] || fail "the Ingress has other names"
    k rollout status --timeout="${PATIENCE}s" deployment/pithos >/dev/null
    got
  else
    say "SKIPPED: the cluster has no definition of ServiceMonitor"
    page_block "The Helm chart" 3 >/dev/null
  fi
  h uninstall pithos --wait >/dev/null
  clear_namespace
}

# page_grow grows the volume of the embedded engine.
page_grow() {
  if ! $KUBECTL get storageclass -o 'jsonpath={range .items[?(@.allowVolumeExpansion==true)]}{.metadata.annotations}{end}' | grep -q 'is-default-class":"true'; then
    say "SKIPPED: volumes of the default StorageClass do not grow"
    page_block "Embedded engine" 1 >/dev/null
    return 0
  fi
  page_namespace pithos-e2e-docs-storage
  page_block "The Helm chart" 1 | sed 's/ --set mode=cassandra//' | run_page none
  restricted
  until_true "$PATIENCE" "Pithos is ready" count statefulset pithos 1
  page_keys
  configure_client
  objects
  local pod
  pod=$(k get pod pithos-0 -o 'jsonpath={.metadata.uid}')
  page_block "Embedded engine" 1 | run_page none
  until_true "$PATIENCE" "the new StatefulSet has the pod" count statefulset pithos 1
  [ "$(k get pod pithos-0 -o 'jsonpath={.metadata.uid}')" = "$pod" ] || fail "the pod was replaced"
  [ "$(k get pvc data-pithos-0 -o 'jsonpath={.spec.resources.requests.storage}')" = 50Gi ] || fail "the claim has another size"
  [ "$(k get statefulset pithos -o 'jsonpath={.spec.volumeClaimTemplates[0].spec.resources.requests.storage}')" = 50Gi ] || fail "the claim template has another size"
  got
  h uninstall pithos --wait >/dev/null
  clear_namespace
}

# page_complete checks that the page has no command that did not run, except the
# one of this script.
page_complete() {
  local left
  left=$(sed -n 's/^    \(\(kubectl\|helm\|docker\|sed\|k8s\/\)[ e].*\)/\1/p' "$page" | grep -vxF -f "$work/ran" | grep -vx 'k8s/e2e.sh') || return 0
  fail "the stage does not run these commands of $page: $left"
}
