{{/* Names of a component's environment variables that are visible in the values, as a JSON list. Takes (list . component). */}}
{{- define "orderhub.givenNames" -}}
{{- $root := index . 0 -}}
{{- $values := (index . 1).values -}}
{{- $names := keys (include "orderhub.environment" . | fromJson) }}
{{- $names = concat $names (include "orderhub.envNames" (concat $root.Values.extraEnv $values.extraEnv) | fromJsonArray) }}
{{- $names | toJson }}
{{- end }}

{{/* Invalid combinations of a component's values, as a JSON list of sentences. Takes (list . component). */}}
{{- define "orderhub.componentProblems" -}}
{{- $root := index . 0 -}}
{{- $name := (index . 1).name -}}
{{- $values := (index . 1).values -}}
{{- $place := ternary "monolith" (printf "services.%s" $name) (eq $name "monolith") }}
{{- $problems := list }}
{{- $given := include "orderhub.givenNames" . | fromJsonArray }}
{{- if not $values.existingSecret }}
{{- if and (ne $name "gateway") (not (include "orderhub.hasSharedSecret" $root)) (not (has "DATABASE_URL" $given)) (or (eq $name "monolith") (not (has (printf "%s_DATABASE_URL" (upper $name)) $given))) }}
{{- $problems = append $problems (printf "%s has no database: put DATABASE_URL in a Secret and name it in existingSecret or %s.existingSecret" $name $place) }}
{{- end }}
{{- range index (include "orderhub.dependencies" $root | fromYaml) $name }}
{{- $key := printf "%s_SERVICE_URL" (upper .) }}
{{- if not (has $key $given) }}
{{- $problems = append $problems (printf "%s needs %s, which is not enabled: set its address in config.%s" $name . $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (not $root.Values.keys.generate) (not (index $root.Values.keys.existingSecrets $name)) }}
{{- $problems = append $problems (printf "%s has no keys: set keys.generate, or name a Secret in keys.existingSecrets.%s" $name $name) }}
{{- end }}
{{- $environment := include "orderhub.environment" . | fromJson }}
{{- if eq (get $environment "AUTH" | default "on") "off" }}
{{- $problems = append $problems (printf "AUTH=off for %s: the image refuses it, because it runs in production mode" $name) }}
{{- end }}
{{- range $key, $expected := dict "PORT" "8080" "METRICS_PORT" "9464" "SERVICE" (index . 1).service }}
{{- if ne (get $environment $key) $expected }}
{{- $problems = append $problems (printf "%s cannot be set for %s: the chart's Services and probes rely on %s" $key $name $expected) }}
{{- end }}
{{- end }}
{{- if and (eq $name (include "orderhub.entry" $root)) (include "orderhub.hasFront" $root) }}
{{- $trusted := get $environment "TRUST_PROXY" }}
{{- range concat $root.Values.extraEnv $values.extraEnv }}
{{- if and (eq .name "TRUST_PROXY") (hasKey . "value") }}{{ $trusted = .value }}{{ end }}
{{- end }}
{{- if has $trusted (list "" "0" "false") }}
{{- $problems = append $problems (printf "TRUST_PROXY=%s for %s: behind ingress or httpRoute every client would have the proxy's address; remove it for one proxy, or set the number of proxies" $trusted $name) }}
{{- end }}
{{- end }}
{{- $startup := $root.Values.probes.startup }}
{{- $limit := add (int $startup.initialDelaySeconds) (mul (int ($startup.periodSeconds | default 10)) (int ($startup.failureThreshold | default 3))) }}
{{- $wait := int (get $environment "DATABASE_WAIT_SECONDS" | default "60") }}
{{- if lt (int $limit) (add $wait 30 | int) }}
{{- $problems = append $problems (printf "probes.startup ends %s after %d s: too early to wait %d s for its database (DATABASE_WAIT_SECONDS) and 30 s for the rest" $name (int $limit) $wait) }}
{{- end }}
{{- if hasKey $environment "TLS_CERT_FILE" }}
{{- $problems = append $problems (printf "TLS_CERT_FILE for %s: the kubelet's probes have no certificate; set istio.enabled for mutual TLS" $name) }}
{{- end }}
{{- with $values.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- $problems = append $problems (printf "%s.autoscaling: minReplicas %d is more than maxReplicas %d" $place (int .minReplicas) (int .maxReplicas)) }}
{{- end }}
{{- if and .enabled (not (dig "requests" "cpu" "" $values.resources)) }}
{{- $problems = append $problems (printf "%s.autoscaling needs resources.requests.cpu, because its target is a percentage of that" $place) }}
{{- end }}
{{- if and .enabled $root.Values.keda.enabled (eq $name "notification") }}
{{- $problems = append $problems "keda.enabled and services.notification.autoscaling.enabled both set the number of pods: choose one" }}
{{- end }}
{{- end }}
{{- $problems | toJson }}
{{- end }}

{{/* Invalid combinations of values, as a JSON list of sentences. */}}
{{- define "orderhub.problems" -}}
{{- $problems := list }}
{{- $components := include "orderhub.components" . | fromJsonArray }}
{{- if not $components }}
{{- $problems = append $problems "nothing is enabled: set services.<name>.enabled for one service or more" }}
{{- end }}
{{- range $components }}
{{- $problems = concat $problems (include "orderhub.componentProblems" (list $ .) | fromJsonArray) }}
{{- end }}
{{- with .Values }}
{{- $entry := include "orderhub.entry" $ }}
{{- range $front := list "ingress" "httpRoute" }}
{{- if and (index $.Values $front).enabled (not $entry) }}
{{- $problems = append $problems (printf "%s.enabled has no backend: services.gateway is not enabled" $front) }}
{{- end }}
{{- end }}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) }}
{{- $problems = append $problems "httpRoute.enabled needs httpRoute.parentRefs, the Gateways that it is attached to" }}
{{- end }}
{{- if .certificate.enabled }}
{{- if not .certificate.issuerRef.name }}
{{- $problems = append $problems "certificate.enabled needs certificate.issuerRef.name" }}
{{- end }}
{{- if not (concat .certificate.dnsNames .ingress.hosts .httpRoute.hostnames) }}
{{- $problems = append $problems "certificate.enabled needs certificate.dnsNames, ingress.hosts or httpRoute.hostnames" }}
{{- end }}
{{- end }}
{{- if .externalSecrets.enabled }}
{{- if not .externalSecrets.secretStoreRef.name }}
{{- $problems = append $problems "externalSecrets.enabled needs externalSecrets.secretStoreRef.name" }}
{{- end }}
{{- if not (or .externalSecrets.data .externalSecrets.dataFrom) }}
{{- $problems = append $problems "externalSecrets.enabled needs externalSecrets.data or externalSecrets.dataFrom" }}
{{- end }}
{{- end }}
{{- if and .migrations.logins (not .migrations.existingSecret) }}
{{- $problems = append $problems "migrations.logins needs migrations.existingSecret, with the DATABASE_URL of a login that owns the schemas and may create roles" }}
{{- end }}
{{- if and .externalSecrets.enabled .externalSecrets.dataFrom .existingSecret }}
{{- $problems = append $problems "externalSecrets.dataFrom and existingSecret: it is unknown which of the two has a key; list the keys in externalSecrets.data, or use only one of the two" }}
{{- end }}
{{- if .keda.enabled }}
{{- if not (or .keda.redisAddress .keda.prometheusAddress) }}
{{- $problems = append $problems "keda.enabled needs keda.redisAddress, or keda.prometheusAddress if events go through PostgreSQL" }}
{{- end }}
{{- if or (eq .mode "monolith") (not .services.notification.enabled) }}
{{- $problems = append $problems "keda.enabled scales notification, which has no separate Deployment here" }}
{{- end }}
{{- if gt (int .keda.minReplicas) (int .keda.maxReplicas) }}
{{- $problems = append $problems "keda.minReplicas is more than keda.maxReplicas" }}
{{- end }}
{{- end }}
{{- if and .keys.existingSecrets (include "orderhub.generatesKeys" $) }}
{{- $problems = append $problems "keys.existingSecrets names no Secret for some services: services with keys of different origin do not trust each other" }}
{{- end }}
{{- end }}
{{- $problems | toJson }}
{{- end }}
