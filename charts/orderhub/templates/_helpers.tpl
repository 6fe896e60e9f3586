{{- define "orderhub.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "orderhub.fullname" -}}
{{- $name := include "orderhub.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Must never change: a Deployment's selector is immutable. Takes (list . component). */}}
{{- define "orderhub.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "orderhub.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "orderhub.labels" -}}
{{- $root := index . 0 -}}
{{ include "orderhub.selectorLabels" . }}
app.kubernetes.io/part-of: orderhub
app.kubernetes.io/version: {{ $root.Values.image.tag | default $root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "orderhub.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The enabled components, as a JSON list of {name, service, values}. `values` are merged over the defaults.
*/}}
{{- define "orderhub.components" -}}
{{- $result := list }}
{{- if eq .Values.mode "monolith" }}
{{- $values := mustMergeOverwrite (deepCopy .Values.defaults) (deepCopy .Values.monolith) }}
{{- $result = append $result (dict "name" "monolith" "service" "all" "values" $values) }}
{{- else }}
{{- range $name := include "orderhub.services" . | fromJsonArray }}
{{- $own := index $.Values.services $name }}
{{- if $own.enabled }}
{{- $values := mustMergeOverwrite (deepCopy $.Values.defaults) (deepCopy $own) }}
{{- $result = append $result (dict "name" $name "service" $name "values" $values) }}
{{- end }}
{{- end }}
{{- end }}
{{- $result | toJson }}
{{- end }}

{{/* Name of the public component; empty if this chart does not run it. */}}
{{- define "orderhub.entry" -}}
{{- if eq .Values.mode "monolith" -}}monolith{{- else if .Values.services.gateway.enabled -}}gateway{{- end -}}
{{- end }}

{{/* Not empty if a proxy of the cluster is in front, which sets X-Forwarded-For. */}}
{{- define "orderhub.hasFront" -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled }}true{{ end }}
{{- end }}

{{/* A service's address inside the cluster. Takes (list . service). */}}
{{- define "orderhub.serviceUrl" -}}
{{- $root := index . 0 -}}
http://{{ include "orderhub.fullname" $root }}-{{ index . 1 }}:8080
{{- end }}

{{/* The Secret with a component's keys. Takes (list . component). */}}
{{- define "orderhub.keysSecret" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $given := index $root.Values.keys.existingSecrets $component -}}
{{- if $given -}}
{{ $given }}
{{- else if eq $component "monolith" -}}
{{ include "orderhub.fullname" $root }}-keys
{{- else -}}
{{ include "orderhub.fullname" $root }}-keys-{{ $component }}
{{- end }}
{{- end }}

{{/* Not empty if the hook creates keys: `keys.generate` is set, and a component has no existing Secret. */}}
{{- define "orderhub.generatesKeys" -}}
{{- if .Values.keys.generate }}
{{- range include "orderhub.components" . | fromJsonArray }}
{{- if not (index $.Values.keys.existingSecrets .name) }}true{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whole MiB of a quantity such as 384Mi, 1Gi or 512M. */}}
{{- define "orderhub.mebibytes" -}}
{{- $text := toString . }}
{{- $number := regexFind "^[0-9.]+" $text | float64 }}
{{- $unit := regexFind "[A-Za-z]*$" $text }}
{{- $factors := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 }}
{{- if not (hasKey $factors $unit) }}{{ fail (printf "a memory limit of %s: give it in Mi or Gi" $text) }}{{ end }}
{{- div (mulf $number (get $factors $unit)) 1048576 }}
{{- end }}

{{/*
Seconds that a pod may take to stop: the sleep, SHUTDOWN_DELAY_MS, the longest request, and 10 s to close.
Takes (list sleep-seconds environment).
*/}}
{{- define "orderhub.gracePeriod" -}}
{{- $environment := index . 1 }}
{{- $milliseconds := add (int $environment.SHUTDOWN_DELAY_MS) (int ($environment.REQUEST_TIMEOUT_MS | default "10000")) }}
{{- add (index . 0) (div (add $milliseconds 999) 1000) 10 }}
{{- end }}

{{/* A value of `config` as text. Integers in YAML arrive as floats, which would be printed as 1e+06. */}}
{{- define "orderhub.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

{{/* Not empty if a component authenticates with service account tokens: if it calls other services. Takes (list . component). */}}
{{- define "orderhub.hasToken" -}}
{{- if and (index . 0).Values.serviceAccountTokens.enabled (has (index . 1).name (keys (include "orderhub.calls" (index . 0) | fromYaml))) }}true{{ end }}
{{- end }}

{{/*
A component's environment without secrets, as a JSON map. Its own config overrides the shared one.
Takes (list . component).
*/}}
{{- define "orderhub.environment" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $env := dict "SERVICE" $component.service "PORT" "8080" "METRICS_PORT" "9464" "SHUTDOWN_DELAY_MS" "8000" "DATA_DIR" "/tmp/orderhub" }}
{{- range $other := index (include "orderhub.calls" $root | fromYaml) $component.name }}
{{- if (index $root.Values.services $other).enabled }}
{{- $_ := set $env (printf "%s_SERVICE_URL" (upper $other)) (include "orderhub.serviceUrl" (list $root $other)) }}
{{- end }}
{{- end }}
{{- $limit := dig "resources" "limits" "memory" "" $component.values }}
{{- if $limit }}
{{- $heap := div (mul (include "orderhub.mebibytes" $limit | int) 3) 4 }}
{{- $_ := set $env "NODE_OPTIONS" (printf "--max-old-space-size=%d --max-semi-space-size=4" $heap) }}
{{- end }}
{{- if include "orderhub.hasToken" . }}
{{- $names := list }}
{{- range include "orderhub.components" $root | fromJsonArray }}
{{- $names = append $names (printf "%s=%s-%s" .name (include "orderhub.fullname" $root) .name) }}
{{- end }}
{{- $_ := set $env "SERVICE_ACCOUNT_NAMES" (join "," $names) }}
{{- $_ := set $env "SERVICE_ACCOUNT_TOKEN_FILE" "/var/run/secrets/orderhub/token-{service}" }}
{{- $_ := set $env "SERVICE_ACCOUNT_API_TOKEN_FILE" "/var/run/secrets/orderhub/api-token" }}
{{- $_ := set $env "SERVICE_ACCOUNT_CA_FILE" "/var/run/secrets/orderhub/ca.crt" }}
{{- end }}
{{- if and (eq $component.name (include "orderhub.entry" $root)) (include "orderhub.hasFront" $root) }}
{{- $_ := set $env "TRUST_PROXY" "1" }}
{{- end }}
{{- range $key, $value := mustMergeOverwrite (dict) $root.Values.config $component.values.config }}
{{- $_ := set $env $key (include "orderhub.text" $value) }}
{{- end }}
{{- $env | toJson }}
{{- end }}

{{/*
The name of a component's ConfigMap, with a hash of its content: pods of an earlier version that restart, during a canary or after a
rollback, must read the configuration of that version. Takes (list . component).
*/}}
{{- define "orderhub.configName" -}}
{{- $hash := include "orderhub.environment" . | sha256sum | trunc 10 -}}
{{- printf "%s-%s-%s" (include "orderhub.fullname" (index . 0)) (index . 1).name $hash -}}
{{- end }}

{{/* The autoscaler of a component: hpa, keda, or empty. Takes (list . component). */}}
{{- define "orderhub.scaledBy" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- if and (eq $component.name "notification") (include "orderhub.active" (list $root "keda")) -}}
keda
{{- else if $component.values.autoscaling.enabled -}}
hpa
{{- end }}
{{- end }}
