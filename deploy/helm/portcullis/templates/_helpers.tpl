{{- define "portcullis.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "portcullis.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portcullis.labels" -}}
{{ include "portcullis.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "portcullis.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* What makes no sense is said here, before anything is installed. */}}
{{- define "portcullis.check" -}}
{{- $most := ternary .Values.autoscaling.maxReplicas .Values.replicas .Values.autoscaling.enabled | int }}
{{- if and (gt $most 1) (not .Values.fleet.engine) }}
{{- fail "more than one gateway needs `fleet.engine`: otherwise what one of them is told, the others do not know" }}
{{- end }}
{{- if not (has .Values.fleet.engine (list "" "jetstream" "postgres")) }}
{{- fail "`fleet.engine` is \"jetstream\", \"postgres\" or empty" }}
{{- end }}
{{- if and .Values.fleet.engine (not .Values.fleet.settings) }}
{{- fail "`fleet.settings` is empty: write the lines of [fleet.jetstream] or [fleet.postgres]" }}
{{- end }}
{{- if not .Values.config }}
{{- fail "`config` is empty: write [idps.NAME] and [apps.NAME], as in conf/portcullis.toml" }}
{{- end }}
{{- if ge (int .Values.drain.leadSeconds) (int .Values.drain.shutdownSeconds) }}
{{- fail "`drain.leadSeconds` must be less than `drain.shutdownSeconds`" }}
{{- end }}
{{- if not (has .Values.antiAffinity (list "required" "preferred")) }}
{{- fail "`antiAffinity` is \"required\" or \"preferred\"" }}
{{- end }}
{{- end }}
