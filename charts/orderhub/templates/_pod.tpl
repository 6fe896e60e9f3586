{{/* The pod of a component: for a Deployment or a Rollout. Takes (list . component). */}}
{{- define "orderhub.podTemplate" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := $component.values -}}
{{- $fullname := include "orderhub.fullname" $root -}}
{{- $environment := include "orderhub.environment" . | fromJson -}}
{{- $selector := include "orderhub.selectorLabels" (list $root $component.name) -}}
metadata:
  labels:
    {{- include "orderhub.labels" (list $root $component.name) | nindent 4 }}
    {{- with mustMergeOverwrite (dict) $root.Values.podLabels $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ $environment | toJson | sha256sum }}
    {{- with mustMergeOverwrite (dict) $root.Values.podAnnotations $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ $fullname }}-{{ $component.name }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName | default $root.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "orderhub.gracePeriod" (list $root.Values.preStopSleepSeconds $environment) }}
  securityContext:
    {{- toYaml $root.Values.podSecurityContext | nindent 4 }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- $selector | nindent 10 }}
      matchLabelKeys: [{{ ternary "pod-template-hash" "rollouts-pod-template-hash" (eq $root.Values.release.strategy "RollingUpdate") }}]
    {{- end }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- $selector | nindent 16 }}
  containers:
    - name: orderhub
      image: {{ include "orderhub.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      securityContext:
        {{- toYaml $root.Values.securityContext | nindent 8 }}
      ports:
        - name: http
          containerPort: 8080
        - name: metrics
          containerPort: 9464
      envFrom:
        - configMapRef:
            name: {{ include "orderhub.configName" . }}
        {{- with $values.existingSecret }}
        - secretRef:
            name: {{ . }}
        {{- end }}
      {{- with include "orderhub.env" . | fromJsonArray }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      startupProbe:
        httpGet: { path: /health/live, port: http }
        {{- toYaml $root.Values.probes.startup | nindent 8 }}
      readinessProbe:
        httpGet: { path: /health/ready, port: http }
        {{- toYaml $root.Values.probes.readiness | nindent 8 }}
      livenessProbe:
        httpGet: { path: /health/live, port: http }
        {{- toYaml $root.Values.probes.liveness | nindent 8 }}
      {{- with $root.Values.preStopSleepSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ . }}
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - name: keys
          mountPath: /keys
          readOnly: true
        - name: tmp
          mountPath: /tmp
        {{- if include "orderhub.hasToken" . }}
        - name: token
          mountPath: /var/run/secrets/orderhub
          readOnly: true
        {{- end }}
        {{- with $root.Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: keys
      secret:
        secretName: {{ include "orderhub.keysSecret" (list $root $component.name) }}
        defaultMode: 0440
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    {{- if include "orderhub.hasToken" . }}
    - name: token
      projected:
        defaultMode: 0440
        sources:
          # One for each service that it calls: a service cannot use the token that it received to call another.
          {{- range index (include "orderhub.calls" $root | fromYaml) $component.name }}
          - serviceAccountToken:
              path: token-{{ . }}
              audience: orderhub-{{ . }}
              expirationSeconds: {{ $root.Values.serviceAccountTokens.expirationSeconds }}
          {{- end }}
          # For the cluster's issuer, which may require a token to read its public keys.
          - serviceAccountToken:
              path: api-token
              expirationSeconds: {{ $root.Values.serviceAccountTokens.expirationSeconds }}
          - configMap:
              name: kube-root-ca.crt
              items:
                - key: ca.crt
                  path: ca.crt
    {{- end }}
    {{- with $root.Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
