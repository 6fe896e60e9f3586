{{/* Takes (list . component-name). */}}
{{- define "orderhub.metadata" -}}
name: {{ include "orderhub.fullname" (index . 0) }}-{{ index . 1 }}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "orderhub.labels" . | nindent 2 }}
{{- end }}

{{- define "orderhub.egressRule" -}}
{{- with .ports }}
- ports:
    {{- range . }}
    - { protocol: TCP, port: {{ int . }} }
    {{- end }}
  {{- with $.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* The HTTP ports of a pod; in Istio's ambient mode, HTTP goes through a tunnel. */}}
{{- define "orderhub.httpPorts" -}}
- { protocol: TCP, port: 8080 }
{{- if include "orderhub.active" (list . "istio") }}
- { protocol: TCP, port: 15008 }
{{- end }}
{{- end }}

{{- define "orderhub.peer" -}}
- podSelector:
    matchLabels:
      {{- include "orderhub.selectorLabels" . | nindent 6 }}
{{- end }}
