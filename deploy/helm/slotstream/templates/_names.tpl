{{- define "slotstream.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "slotstream.fullname" -}}
{{- $name := include "slotstream.name" . }}
{{- $default := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $default | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "slotstream.selectorLabels" -}}
app.kubernetes.io/name: {{ include "slotstream.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "slotstream.labels" -}}
{{ include "slotstream.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* For the pod that has the sidecar: the network policy and the PodMonitor look for them. */}}
{{- define "slotstream.sidecarLabels" -}}
{{ include "slotstream.selectorLabels" . }}
app.kubernetes.io/component: sidecar
{{- end }}
