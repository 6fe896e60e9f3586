{{/* The API that each optional feature needs. */}}
{{- define "orderhub.apis" -}}
httpRoute: gateway.networking.k8s.io/v1
certificate: cert-manager.io/v1
serviceMonitor: monitoring.coreos.com/v1
prometheusRule: monitoring.coreos.com/v1
externalSecrets: external-secrets.io/v1
istio: security.istio.io/v1
keda: keda.sh/v1alpha1
{{- end }}

{{/* Not empty if a feature is enabled and the cluster has its API. Takes (list . feature). */}}
{{- define "orderhub.active" -}}
{{- $root := index . 0 -}}
{{- $feature := index . 1 -}}
{{- $api := get (include "orderhub.apis" $root | fromYaml) $feature -}}
{{- if and (index $root.Values $feature).enabled ($root.Capabilities.APIVersions.Has $api) -}}
true
{{- end }}
{{- end }}

{{/* Enabled features that are skipped because the cluster lacks their API, as a JSON list of sentences. */}}
{{- define "orderhub.missingApis" -}}
{{- $missing := list }}
{{- range $feature, $api := include "orderhub.apis" . | fromYaml }}
{{- if and (index $.Values $feature).enabled (not (include "orderhub.active" (list $ $feature))) }}
{{- $missing = append $missing (printf "%s.enabled, but the cluster has no %s" $feature $api) }}
{{- end }}
{{- end }}
{{- $missing | toJson }}
{{- end }}
