{{- /* What every container of Slotstream has, beside its arguments and probes. */}}
{{- define "slotstream.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
command:
  - slotstream
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
terminationMessagePath: /dev/termination-log
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  - name: config
    mountPath: /etc/slotstream
    readOnly: true
  - name: postgres
    mountPath: /run/secrets/slotstream/postgres
    readOnly: true
  {{- if .Values.secrets.nats }}
  - name: nats
    mountPath: /run/secrets/slotstream/nats
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "slotstream.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end }}

{{- /* `run`: after a stop that only a person can mend the pod stays, with its reason. */}}
{{- define "slotstream.run" -}}
args:
  - run
  - --config=/etc/slotstream/slotstream.toml
  - --on-stop=wait
ports:
  - name: slotstream
    containerPort: 7432
    protocol: TCP
livenessProbe:
  exec:
    command:
      - slotstream
      - health
      - --config=/etc/slotstream/slotstream.toml
  periodSeconds: 30
  timeoutSeconds: 10
  failureThreshold: 3
{{- end }}

{{- /* The item for `initContainers` of a pod with PostgreSQL. No readiness probe: a stream that does not flow must not take
PostgreSQL from the application. */}}
{{- define "slotstream.sidecar" -}}
- name: slotstream
  restartPolicy: Always
  {{- include "slotstream.container" . | nindent 2 }}
  {{- include "slotstream.run" . | nindent 2 }}
  securityContext:
    runAsUser: 65532
    runAsGroup: 65532
    {{- include "slotstream.containerSecurity" . | nindent 4 }}
{{- end }}

{{- /* `config`: the name of the ConfigMap. */}}
{{- define "slotstream.volumesOf" -}}
{{- $ := .root }}
- name: config
  configMap:
    name: {{ .config }}
- name: postgres
  secret:
    secretName: {{ required "secrets.postgres: the name of a Secret with the key uri" $.Values.secrets.postgres }}
    defaultMode: 0440
{{- if $.Values.secrets.nats }}
- name: nats
  secret:
    secretName: {{ $.Values.secrets.nats }}
    defaultMode: 0440
{{- end }}
{{- with $.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "slotstream.volumes" -}}
{{- include "slotstream.volumesOf" (dict "root" . "config" (include "slotstream.fullname" .)) }}
{{- end }}

{{- /* What a pod of the chart's own has beside its containers. `name`: of ServiceAccount and ConfigMap; `volumes`: where they are not
the streamer's. */}}
{{- define "slotstream.pod" -}}
{{- $ := .root -}}
serviceAccountName: {{ .name }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 30
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with $.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  {{- if .volumes }}
  {{- .volumes | trim | nindent 2 }}
  {{- else }}
  {{- include "slotstream.volumesOf" (dict "root" $ "config" .name) | trim | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* ServiceAccount, ConfigMap and NetworkPolicy: of the streamer, and of each job. `annotations`: a map, or nothing. */}}
{{- define "slotstream.base" -}}
{{- $ := .root -}}
{{- $metadata := printf "metadata:\n  name: %s\n  labels:\n    %s\n    app.kubernetes.io/component: %s" .name
      (include "slotstream.labels" $ | indent 4 | trim) .component -}}
{{- with .annotations }}{{ $metadata = printf "%s\n  annotations:\n%s" $metadata (toYaml . | indent 4) }}{{ end -}}
apiVersion: v1
kind: ServiceAccount
{{ $metadata }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: ConfigMap
{{ $metadata }}
data:
  slotstream.toml: |
    {{- $.Values.config | nindent 4 }}
{{- if $.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{{ $metadata }}
spec:
  podSelector:
    matchLabels:
      {{- include "slotstream.selectorLabels" $ | nindent 6 }}
  policyTypes:
    - Ingress
    - Egress
  ingress:
    - from:
        {{- toYaml $.Values.networkPolicy.metricsFrom | nindent 8 }}
      ports:
        - protocol: TCP
          port: 7432
    {{- with $.Values.networkPolicy.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  egress:
    - ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
    - ports:
        {{- range $.Values.networkPolicy.egressPorts }}
        - protocol: TCP
          port: {{ . }}
        {{- end }}
{{- end }}
{{- end }}
