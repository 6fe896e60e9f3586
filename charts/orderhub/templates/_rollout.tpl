{{/* A component's Service; the public one has the same name in both modes. Takes (list . component-name). */}}
{{- define "orderhub.componentService" -}}
{{ include "orderhub.fullname" (index . 0) }}-{{ ternary "gateway" (index . 1) (eq (index . 1) "monolith") }}
{{- end }}

{{/* Not empty if the Gateway API splits traffic between the versions. Takes (list . component-name). */}}
{{- define "orderhub.weighted" -}}
{{- $root := index . 0 -}}
{{- if and (eq $root.Values.release.strategy "Canary") (eq (index . 1) (include "orderhub.entry" $root)) (include "orderhub.active" (list $root "httpRoute")) -}}
true
{{- end }}
{{- end }}

{{/*
A Service's selector. Argo Rollouts adds the hash of the version to the Services that it manages, and an upgrade must keep it.
Otherwise requests go to both versions until the controller has seen the change. Takes (list . component-name service-name).
*/}}
{{- define "orderhub.serviceSelector" -}}
{{- $root := index . 0 -}}
{{- include "orderhub.selectorLabels" (list $root (index . 1)) }}
{{- if ne $root.Values.release.strategy "RollingUpdate" }}
{{- $live := lookup "v1" "Service" $root.Release.Namespace (index . 2) }}
{{- with dig "spec" "selector" "rollouts-pod-template-hash" "" $live }}
rollouts-pod-template-hash: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "orderhub.analysisTemplates" -}}
templates:
  - templateName: {{ include "orderhub.fullname" (index . 0) }}-{{ index . 2 }}
args:
  - name: rollout
    value: {{ include "orderhub.fullname" (index . 0) }}-{{ index . 1 }}
  - name: hash
    valueFrom:
      podTemplateHashValue: Latest
{{- end }}

{{/* Takes (list . component). */}}
{{- define "orderhub.rolloutStrategy" -}}
{{- $root := index . 0 -}}
{{- $name := (index . 1).name -}}
{{- $service := include "orderhub.componentService" (list $root $name) -}}
{{- $release := $root.Values.release -}}
{{- if eq $release.strategy "BlueGreen" -}}
blueGreen:
  activeService: {{ $service }}
  previewService: {{ $service }}-preview
  autoPromotionEnabled: {{ $release.blueGreen.autoPromotion }}
  scaleDownDelaySeconds: {{ $release.blueGreen.scaleDownDelaySeconds }}
  abortScaleDownDelaySeconds: 60
  {{- if $release.analysis.enabled }}
  # Before promotion, the new version gets only probes: so its health is measured first, its responses afterwards.
  prePromotionAnalysis:
    {{- include "orderhub.analysisTemplates" (list $root $name "health") | nindent 4 }}
  postPromotionAnalysis:
    {{- include "orderhub.analysisTemplates" (list $root $name "requests") | nindent 4 }}
  {{- end }}
{{- else -}}
canary:
  maxSurge: 1
  maxUnavailable: 0
  {{- if include "orderhub.weighted" (list $root $name) }}
  stableService: {{ $service }}
  canaryService: {{ $service }}-canary
  abortScaleDownDelaySeconds: 60
  trafficRouting:
    plugins:
      argoproj-labs/gatewayAPI:
        httpRoute: {{ include "orderhub.fullname" $root }}
        namespace: {{ $root.Release.Namespace }}
  {{- end }}
  {{- if $release.analysis.enabled }}
  analysis:
    # Runs in the background from the first weight until the new version has all requests.
    startingStep: 1
    {{- include "orderhub.analysisTemplates" (list $root $name "requests") | nindent 4 }}
  {{- end }}
  steps:
    {{- range $release.canary.weights }}
    - setWeight: {{ int . }}
    - pause: { duration: {{ int $release.canary.pauseSeconds }}s }
    {{- end }}
{{- end }}
{{- end }}
