{{/*
The shared Secret that holds a key: what External Secrets makes, or existingSecret; empty where there is neither.
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

{{/* Not empty where there is a Secret for all services. */}}
{{- define "orderhub.hasSharedSecret" -}}
{{- if or .Values.externalSecrets.enabled .Values.existingSecret }}true{{ end }}
{{- end }}

{{/*
Entries of `env` from the shared Secrets, as a JSON list. Takes (list . keys names), without those names that have a value already.
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
What a component reads of the shared Secrets, as a JSON list of keys. One that has a Secret of its own has its database there: a
DATABASE_URL for all would be over it. Takes (list . component).
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

{{/* Entries of `env` of a component, as a JSON list: extraEnv, and its own part of the shared Secrets. Takes (list . component). */}}
{{- define "orderhub.env" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $extra := concat $root.Values.extraEnv $component.values.extraEnv }}
{{- $keys := include "orderhub.sharedKeys" . | fromJsonArray }}
{{- $taken := include "orderhub.envNames" $extra | fromJsonArray }}
{{- concat $extra (include "orderhub.fromSharedSecrets" (list $root $keys $taken) | fromJsonArray) | toJson }}
{{- end }}

{{/*
What a container that migrates reads of the shared Secrets, as a JSON list of keys: the addresses of its databases. With
migrations.existingSecret none, but for those that name the logins to make. Takes (list . migration).
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

{{/* Entries of `env` of a container that migrates, as a JSON list. Takes (list . migration). */}}
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

{{/* Secrets whose keys all become environment of a container that migrates, as a JSON list of names. Takes (list . migration). */}}
{{- define "orderhub.migrationSecrets" -}}
{{- $own := (index . 0).Values.migrations -}}
{{- $names := list }}
{{- with (index . 1).values.existingSecret }}
{{- if or $own.logins (not $own.existingSecret) }}{{ $names = append $names . }}{{ end }}
{{- end }}
{{- with $own.existingSecret }}{{ $names = append $names . }}{{ end }}
{{- $names | toJson }}
{{- end }}
