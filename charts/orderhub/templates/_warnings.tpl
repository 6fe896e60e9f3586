{{/* Warnings about secrets in a `config`, as a JSON list of sentences. Takes (list config place). */}}
{{- define "orderhub.openSecrets" -}}
{{- $place := index . 1 -}}
{{- $warnings := list }}
{{- range $key, $value := index . 0 }}
{{- if or (regexMatch "(PASSWORD|SECRET_ACCESS_KEY|DATABASE_URL)$" $key) (regexMatch "^[a-z+]+://[^/@]*:[^/@]*@" (toString $value)) }}
{{- $warnings = append $warnings (printf "%s in %sconfig is in a ConfigMap, which is not secret: move it to a Secret, %sexistingSecret." $key $place $place) }}
{{- end }}
{{- end }}
{{- $warnings | toJson }}
{{- end }}

{{/* Settings that are unsafe in production, as a JSON list of sentences. */}}
{{- define "orderhub.warnings" -}}
{{- $warnings := include "orderhub.missingApis" . | fromJsonArray }}
{{- if include "orderhub.generatesKeys" . }}
{{- $warnings = append $warnings "keys.generate is for a trial: anyone who can read the Secrets of this namespace has every key. Give each service its own with keys.existingSecrets." }}
{{- end }}
{{- if not .Values.image.digest }}
{{- $warnings = append $warnings "image.digest is not set: a tag can be moved to another image." }}
{{- end }}
{{- if not .Values.networkPolicy.enabled }}
{{- $warnings = append $warnings "networkPolicy.enabled is false: every pod of the cluster can reach every service." }}
{{- else if not .Values.networkPolicy.ingressFrom }}
{{- $warnings = append $warnings "networkPolicy.ingressFrom is empty: every pod of the cluster can reach the gateway." }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.tlsSecret) (not .Values.certificate.enabled) }}
{{- $warnings = append $warnings "the Ingress has no TLS: passwords and tokens are sent unencrypted. Set ingress.tlsSecret, or certificate." }}
{{- end }}
{{- $warnings = concat $warnings (include "orderhub.openSecrets" (list .Values.config "") | fromJsonArray) }}
{{- range $component := include "orderhub.components" . | fromJsonArray }}
{{- $place := ternary "monolith" (printf "services.%s" $component.name) (eq $component.name "monolith") }}
{{- $warnings = concat $warnings (include "orderhub.openSecrets" (list $component.values.config (printf "%s." $place)) | fromJsonArray) }}
{{- $config := mustMergeOverwrite (dict) $.Values.config $component.values.config }}
{{- if eq (toString (get $config "TRUST_PROXY")) "true" }}
{{- $warnings = append $warnings (printf "TRUST_PROXY is true for %s: clients can forge their address. Set the number of proxies in front." $component.name) }}
{{- end }}
{{- if has $component.name (list "user" "monolith") }}
{{- if ne (toString (get $config "REQUIRE_ADMIN_MFA")) "true" }}
{{- $warnings = append $warnings "REQUIRE_ADMIN_MFA is not true: administrators can sign in with only a password." }}
{{- end }}
{{- if eq (toString (get $config "SEED")) "true" }}
{{- $warnings = append $warnings "SEED is true: the sample data is written to an empty database." }}
{{- end }}
{{- end }}
{{- if $component.values.existingSecret }}
{{- $given := include "orderhub.givenNames" (list $ $component) | fromJsonArray }}
{{- range index (include "orderhub.dependencies" $ | fromYaml) $component.name }}
{{- $key := printf "%s_SERVICE_URL" (upper .) }}
{{- if not (has $key $given) }}
{{- $warnings = append $warnings (printf "%s does not start unless its Secret holds %s: %s is not enabled here." $component.name $key .) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (lt (int $component.values.replicas) 2) (not (include "orderhub.scaledBy" (list $ $component))) }}
{{- $warnings = append $warnings (printf "%s has fewer than two pods: it is unavailable while one is replaced." $component.name) }}
{{- end }}
{{- end }}
{{- $warnings | uniq | toJson }}
{{- end }}
