{{/*
The shared Secret that has a key: the one of External Secrets, or existingSecret; empty if there is neither.
Takes (list . key).
*/}}
{{- define "orderhub.sharedSecretOf" -}}
{{- $root := index . 0 -}}
{{- $external := $root.Values.externalSecrets -}}
{{- if and $external.enabled (or (hasKey $external.data (index . 1)) (not $root.Values.existingSecret)) -}}
{{ include "orderhub.fullname" $root }}-external
{{- else -}}
{{ $root.Values.existingSecret }}
{{- end }}
{{- end }}

{{/* Not empty if there is a Secret for all services. */}}
{{- define "orderhub.hasSharedSecret" -}}
{{- if or .Values.externalSecrets.enabled .Values.existingSecret }}true{{ end }}
{{- end }}

{{/*
Entries of `env` from the shared Secrets, as a JSON list. Takes (list . keys names): keys in `names` already have a value.
*/}}
{{- define "orderhub.fromSharedSecrets" -}}
{{- $root := index . 0 -}}
{{- $taken := index . 2 -}}
{{- $result := list }}
{{- range $key := index . 1 }}
{{- $secret := include "orderhub.sharedSecretOf" (list $root $key) }}
{{- if and $secret (not (has $key $taken)) }}
{{- $reference := dict "name" $secret "key" $key "optional" true }}
{{- $result = append $result (dict "name" $key "valueFrom" (dict "secretKeyRef" $reference)) }}
{{- end }}
{{- end }}
{{- $result | toJson }}
{{- end }}

{{/* Names in a list of `env`, as a JSON list. */}}
{{- define "orderhub.envNames" -}}
{{- $names := list }}
{{- range . }}{{ $names = append $names .name }}{{ end }}
{{- $names | toJson }}
{{- end }}

{{/*
The keys that a component reads from the shared Secrets, as a JSON list. If it has its own Secret, its database URL is there: a shared
DATABASE_URL would override it. Takes (list . component).
*/}}
{{- define "orderhub.sharedKeys" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $table := include "orderhub.secretKeys" $root | fromYaml }}
{{- $keys := list }}
{{- range $service, $own := $table }}
{{- if or (eq $component.service "all") (eq $component.service $service) }}{{ $keys = concat $keys $own }}{{ end }}
{{- end }}
{{- if $component.values.existingSecret }}{{ $keys = without $keys "DATABASE_URL" }}{{ end }}
{{- concat $keys $root.Values.sharedSecretKeys | uniq | sortAlpha | toJson }}
{{- end }}

{{/* Entries of `env` of a component, as a JSON list: extraEnv, and its keys of the shared Secrets. Takes (list . component). */}}
{{- define "orderhub.env" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $extra := concat $root.Values.extraEnv $component.values.extraEnv }}
{{- $keys := include "orderhub.sharedKeys" . | fromJsonArray }}
{{- $taken := include "orderhub.envNames" $extra | fromJsonArray }}
{{- concat $extra (include "orderhub.fromSharedSecrets" (list $root $keys $taken) | fromJsonArray) | toJson }}
{{- end }}

{{/*
The keys that a migration container reads from the shared Secrets, as a JSON list: the URLs of its databases. With
migrations.existingSecret only those with the logins to create. Takes (list . migration).
*/}}
{{- define "orderhub.migrationKeys" -}}
{{- $root := index . 0 -}}
{{- $migration := index . 1 -}}
{{- $own := $root.Values.migrations -}}
{{- $keys := list }}
{{- range $service, $names := include "orderhub.secretKeys" $root | fromYaml }}
{{- if or (eq $migration.service "all") (has $service (splitList "," $migration.service)) }}
{{- range $names }}
{{- if regexMatch "DATABASE_URL$" . }}{{ $keys = append $keys . }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- if or $own.existingSecret $migration.values.existingSecret }}{{ $keys = without $keys "DATABASE_URL" }}{{ end }}
{{- if $own.logins }}
{{- $keys = append $keys "REDIS_URL" }}
{{- else if $own.existingSecret }}
{{- $keys = list }}
{{- end }}
{{- $keys | uniq | sortAlpha | toJson }}
{{- end }}

{{/* Entries of `env` of a migration container, as a JSON list. Takes (list . migration). */}}
{{- define "orderhub.migrationEnv" -}}
{{- $root := index . 0 -}}
{{- $migration := index . 1 -}}
{{- $own := $root.Values.migrations -}}
{{- $env := list }}
{{- range concat $root.Values.extraEnv $migration.values.extraEnv }}
{{- if not (and $own.existingSecret (not $own.logins) (regexMatch "DATABASE_URL$" .name)) }}{{ $env = append $env . }}{{ end }}
{{- end }}
{{- range $key, $value := $own.config }}
{{- $env = append $env (dict "name" $key "value" (include "orderhub.text" $value)) }}
{{- end }}
{{- $taken := include "orderhub.envNames" $env | fromJsonArray }}
{{- $keys := include "orderhub.migrationKeys" . | fromJsonArray }}
{{- concat $env (include "orderhub.fromSharedSecrets" (list $root $keys $taken) | fromJsonArray) | toJson }}
{{- end }}

{{/* Names of the Secrets whose keys all become environment variables of a migration container, as a JSON list. Takes (list . migration). */}}
{{- define "orderhub.migrationSecrets" -}}
{{- $own := (index . 0).Values.migrations -}}
{{- $names := list }}
{{- with (index . 1).values.existingSecret }}
{{- if or $own.logins (not $own.existingSecret) }}{{ $names = append $names . }}{{ end }}
{{- end }}
{{- with $own.existingSecret }}{{ $names = append $names . }}{{ end }}
{{- $names | toJson }}
{{- end }}
