{{/*
The migration containers, as a JSON list of {name, service, values}: one for all services with the shared environment, and one for
each service with its own environment, because the same key may have another value there.
*/}}
{{- define "orderhub.migrations" -}}
{{- $shared := list }}
{{- $result := list }}
{{- range $component := include "orderhub.components" . | fromJsonArray }}
{{- $own := $component.values }}
{{- if ne $component.name "gateway" }}
{{- if not (or $own.existingSecret $own.config $own.extraEnv) }}
{{- $shared = append $shared $component.service }}
{{- else }}
{{- $name := ternary "migrate" (printf "migrate-%s" $component.name) (eq $component.service "all") }}
{{- $values := dict "config" $own.config "existingSecret" $own.existingSecret "extraEnv" $own.extraEnv "resources" $.Values.migrations.resources }}
{{- $result = append $result (dict "name" $name "service" $component.service "values" $values) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $shared }}
{{- $values := dict "config" dict "existingSecret" "" "extraEnv" list "resources" .Values.migrations.resources }}
{{- $result = append $result (dict "name" "migrate" "service" (join "," $shared) "values" $values) }}
{{- end }}
{{- $result | toJson }}
{{- end }}

{{/* Takes (list . migration). */}}
{{- define "orderhub.migrationContainer" -}}
{{- $root := index . 0 -}}
{{- $migration := index . 1 -}}
{{- $own := $root.Values.migrations -}}
name: {{ $migration.name }}
{{ include "orderhub.onceContainer" $root }}
command: [node, dist/migrate.js{{ if $own.logins }}, --logins{{ end }}]
envFrom:
  - configMapRef:
      name: {{ include "orderhub.fullname" $root }}-{{ $migration.name }}
  {{- range include "orderhub.migrationSecrets" . | fromJsonArray }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- with include "orderhub.migrationEnv" . | fromJsonArray }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml $migration.values.resources | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- with $root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
