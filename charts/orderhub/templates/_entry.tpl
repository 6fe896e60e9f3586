{{- define "orderhub.certificateSecret" -}}
{{- .Values.certificate.secretName | default (printf "%s-tls" (include "orderhub.fullname" .)) -}}
{{- end }}

{{/* The public Service, in both modes. */}}
{{- define "orderhub.entryService" -}}
{{ include "orderhub.fullname" . }}-gateway
{{- end }}
