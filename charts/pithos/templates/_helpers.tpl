{{- define "pithos.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of Pithos. */}}
{{- define "pithos.selector" -}}
app.kubernetes.io/name: pithos
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of the pods that the service selects. Embedded: only the first pod,
     which has the data, even if the StatefulSet is scaled. */}}
{{- define "pithos.serviceSelector" -}}
{{ include "pithos.selector" . }}
app.kubernetes.io/component: gateway
{{- if eq .Values.mode "embedded" }}
statefulset.kubernetes.io/pod-name: {{ include "pithos.fullname" . }}-0
{{- end }}
{{- end -}}

{{- define "pithos.labels" -}}
{{ include "pithos.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels of the pod of 'helm test'. */}}
{{- define "pithos.testLabels" -}}
app.kubernetes.io/name: pithos-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pithos.cassandra" -}}
{{ include "pithos.fullname" . }}-cassandra
{{- end -}}

{{- define "pithos.cassandraSelector" -}}
app.kubernetes.io/name: cassandra
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pithos.cassandraLabels" -}}
{{ include "pithos.cassandraSelector" . }}
app.kubernetes.io/part-of: pithos
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "pithos.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "pithos.keysSecret" -}}
{{- if .Values.keys.accessKey -}}
{{ include "pithos.fullname" . }}-keys
{{- else -}}
{{ .Values.keys.existingSecret | default "pithos-keys" }}
{{- end -}}
{{- end -}}

{{/* A single pod must not wait: no other pod serves meanwhile. */}}
{{- define "pithos.drainDelay" -}}
{{ if eq .Values.mode "embedded" }}0s{{ else }}{{ int .Values.drain.delay }}s{{ end }}
{{- end -}}

{{/* pithos.yaml: the settings that the chart makes, merged with config. */}}
{{- define "pithos.config" -}}
{{- $service := dict "host" "0.0.0.0" "port" 8080 "drain-delay" (include "pithos.drainDelay" .) "shutdown-timeout" (printf "%ds" (int .Values.drain.timeout)) -}}
{{- if and .Values.ingress.enabled .Values.ingress.trustedProxies -}}{{- $_ := set $service "trusted-proxies" .Values.ingress.trustedProxies -}}{{- end -}}
{{- $options := dict "service-uri" .Values.serviceURI -}}
{{- if .Values.buckets -}}{{- $_ := set $options "buckets" .Values.buckets -}}{{- end -}}
{{- $encryption := dict "master-key-file" "/etc/pithos-keys/master-key" -}}
{{- $own := dict "service" $service "encryption" $encryption "logging" (dict "level" "info" "json" true) "options" $options -}}
{{- with .Values.cassandra -}}
{{- $store := dict "keyspace" .keyspace "datacenter" .datacenter "replication" (dict "factor" (int .copies)) -}}
{{- if eq $.Values.mode "embedded" -}}
{{- $_ := set $own "embedded" (dict "directory" "/data") -}}
{{- else if eq $.Values.mode "cassandra" -}}
{{- $_ := set $store "cluster" (include "pithos.cassandra" $) -}}
{{- $_ := set $own "bucketstore" $store -}}
{{- else -}}
{{- $_ := set $store "cluster" .hosts -}}
{{- $_ := set $store "port" (int .port) -}}
{{- $_ := set $own "bucketstore" $store -}}
{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.config)) -}}
{{- end -}}

{{- define "pithos.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "pithos.credentials" -}}
{{- if and (eq .Values.mode "existing-cassandra") .Values.cassandra.credentialsSecret -}}
- name: PITHOS_CASSANDRA_USERNAME
  valueFrom: {secretKeyRef: {name: {{ .Values.cassandra.credentialsSecret }}, key: username}}
- name: PITHOS_CASSANDRA_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .Values.cassandra.credentialsSecret }}, key: password}}
{{- end }}
{{- end -}}

{{/* The pod that serves, of the Deployment or the StatefulSet. */}}
{{- define "pithos.pod" -}}
metadata:
  labels:
    {{- include "pithos.selector" . | nindent 4 }}
    app.kubernetes.io/component: gateway
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # A changed configuration replaces the pods.
    checksum/config: {{ include "pithos.config" . | sha256sum }}
    {{- if .Values.keys.accessKey }}
    checksum/keys: {{ toJson .Values.keys | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  # service.drain-delay, service.shutdown-timeout, 10 s to flush, and a reserve.
  terminationGracePeriodSeconds: {{ add .Values.drain.delay .Values.drain.timeout 20 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    {{- if eq .Values.mode "embedded" }}
    fsGroupChangePolicy: OnRootMismatch
    {{- end }}
    seccompProfile: {type: RuntimeDefault}
  {{- if ne .Values.mode "embedded" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "pithos.selector" . | nindent 10 }}
          app.kubernetes.io/component: gateway
  {{- end }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: pithos
      image: {{ include "pithos.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, -f, /etc/pithos/pithos.yaml]
      env:
        # The image sets them, which would override pithos.yaml.
        - {name: PITHOS_LISTEN, value: ""}
        {{- if eq .Values.mode "embedded" }}
        - {name: PITHOS_DATA, value: ""}
        # A pod other than the first refuses to serve: its volume is empty.
        - name: PITHOS_POD
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        {{- end }}
        {{- range $variable, $entry := dict "PITHOS_ACCESS_KEY" "access-key" "PITHOS_SECRET_KEY" "secret-key" }}
        - name: {{ $variable }}
          valueFrom: {secretKeyRef: {name: {{ include "pithos.keysSecret" $ }}, key: {{ $entry }}}}
        {{- end }}
        {{- with include "pithos.credentials" . }}{{ . | nindent 8 }}{{ end }}
        {{- if .Values.metrics.enabled }}
        - {name: PITHOS_ADMIN_LISTEN, value: "0.0.0.0:{{ .Values.metrics.port }}"}
        {{- end }}
        {{- with .Values.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      ports:
        - {name: s3, containerPort: 8080}
        {{- if .Values.metrics.enabled }}
        - {name: admin, containerPort: {{ .Values.metrics.port }}}
        {{- end }}
      securityContext: {{- include "pithos.containerSecurity" . | nindent 8 }}
      resources: {{- toYaml .Values.resources | nindent 8 }}
      # The process runs. It must not be restarted because Cassandra is down.
      livenessProbe:
        httpGet: {path: /-/live, port: s3}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      # The engine answers and has the schema; it asks for up to 3 s.
      readinessProbe:
        httpGet: {path: /-/ready, port: s3}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      volumeMounts:
        - {name: config, mountPath: /etc/pithos, readOnly: true}
        - {name: keys, mountPath: /etc/pithos-keys, readOnly: true}
        {{- if eq .Values.mode "embedded" }}
        - {name: data, mountPath: /data}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "pithos.fullname" . }}-config}
    # A file, not a variable: it has two keys while master keys are rotated.
    - name: keys
      secret:
        secretName: {{ include "pithos.keysSecret" . }}
        defaultMode: 0440 # the group is fsGroup
        items: [{key: master-key, path: master-key}]
{{- end -}}

{{/* The pod that installs the schema. */}}
{{- define "pithos.bootstrapPod" -}}
metadata:
  labels:
    {{- include "pithos.selector" . | nindent 4 }}
    app.kubernetes.io/component: bootstrap
spec:
  restartPolicy: OnFailure
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: pithos-bootstrap
      image: {{ include "pithos.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [bootstrap, -f, /etc/pithos/pithos.yaml, --timeout, {{ .Values.bootstrap.timeout | quote }}]
      {{- with include "pithos.credentials" . }}
      env: {{- . | nindent 8 }}
      {{- end }}
      securityContext: {{- include "pithos.containerSecurity" . | nindent 8 }}
      resources: {{- toYaml .Values.bootstrap.resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/pithos, readOnly: true}
  volumes:
    - name: config
      configMap: {name: {{ include "pithos.fullname" . }}-config}
{{- end -}}

{{/* A Job cannot be changed. So its name has a hash of its pod and of the
     configuration: another image makes another Job, and the same values make the
     same Job. The release's revision cannot tell them apart: it is always 1 where
     the chart is only rendered (helm template, GitOps). */}}
{{- define "pithos.bootstrapJob" -}}
{{- $hash := print (include "pithos.bootstrapPod" .) (include "pithos.config" .) | sha256sum | trunc 8 -}}
{{ include "pithos.fullname" . | trunc 43 | trimSuffix "-" }}-bootstrap-{{ $hash }}
{{- end -}}
