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

{{- define "slotstream.releaseLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "slotstream.labels" -}}
{{ include "slotstream.selectorLabels" . }}
{{ include "slotstream.releaseLabels" . }}
{{- end }}

{{- /* The observer worker has a name of its own: the streamer's policy and PodMonitor must not choose its pods. */}}
{{- define "slotstream.observer.fullname" -}}
{{ include "slotstream.fullname" . }}-observer
{{- end }}

{{- define "slotstream.observer.selectorLabels" -}}
app.kubernetes.io/name: {{ include "slotstream.name" . }}-observer
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "slotstream.observer.labels" -}}
{{ include "slotstream.observer.selectorLabels" . }}
{{ include "slotstream.releaseLabels" . }}
app.kubernetes.io/component: observer
{{- end }}

{{- /* For the pod that has the sidecar: the network policy and the PodMonitor look for them. */}}
{{- define "slotstream.sidecarLabels" -}}
{{ include "slotstream.selectorLabels" . }}
app.kubernetes.io/component: sidecar
{{- end }}
