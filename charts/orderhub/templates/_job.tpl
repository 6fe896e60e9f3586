{{/*
The pod of a Job or a test, without its containers: runs once, with its own service account.
Takes (dict "root" . "name" component "token" whether its container calls the Kubernetes API).
*/}}
{{- define "orderhub.oncePodMetadata" -}}
labels:
  {{- include "orderhub.labels" (list .root .name) | nindent 2 }}
  # A sidecar would outlive the Job.
  sidecar.istio.io/inject: 'false'
{{- end }}

{{- define "orderhub.oncePodSpec" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "orderhub.fullname" .root }}-{{ .name }}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
restartPolicy: Never
# An interrupted run is rolled back or repeated.
terminationGracePeriodSeconds: 5
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
{{- with $values.defaults.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.defaults.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "orderhub.onceContainer" -}}
image: {{ include "orderhub.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{/* Metadata of an object that a hook creates. Takes (list . component name weight). */}}
{{- define "orderhub.hookMetadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "orderhub.labels" (list $root (index . 1)) | nindent 2 }}
annotations:
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-weight: {{ index . 3 | quote }}
  # A failed hook is kept, with its log.
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
