{{- define "slotstream.observer.volumes" -}}
- name: config
  configMap:
    name: {{ include "slotstream.observer.fullname" . }}
{{- with .Values.observer.secrets.nats }}
- name: nats
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.observer.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
