{{- define "orderhub.certificateSecret" -}}
{{- .Values.certificate.secretName | default (printf "%s-tls" (include "orderhub.fullname" .)) -}}
{{- end }}

{{/* The Service that the outside speaks to, whatever runs behind it. */}}
{{- define "orderhub.entryService" -}}
{{ include "orderhub.fullname" . }}-gateway
{{- end }}
