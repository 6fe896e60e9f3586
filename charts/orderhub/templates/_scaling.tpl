{{/* The object that is scaled. Takes (list . component-name). */}}
{{- define "orderhub.scaleTarget" -}}
{{- $root := index . 0 -}}
{{- $rolling := eq $root.Values.release.strategy "RollingUpdate" -}}
apiVersion: {{ ternary "apps/v1" "argoproj.io/v1alpha1" $rolling }}
kind: {{ ternary "Deployment" "Rollout" $rolling }}
name: {{ include "orderhub.fullname" $root }}-{{ index . 1 }}
{{- end }}
