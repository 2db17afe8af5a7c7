{{- define "streampipeline.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Release.Name .Values.nameOverride -}}
{{- ternary $name (printf "%s-operator" ($name | trunc 43 | trimSuffix "-")) (hasSuffix "operator" $name) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Not `streampipeline`, which is the name that a pipeline's pods have: its NetworkPolicy would select the operator. */}}
{{- define "streampipeline.selector" -}}
app.kubernetes.io/name: streampipeline-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "streampipeline.labels" -}}
{{ include "streampipeline.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: streampipeline
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "streampipeline.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "streampipeline.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the service account to use, or let one be made (serviceAccount.create)" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "streampipeline.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* ClusterRoles have no namespace to tell releases of one name apart by. */}}
{{- define "streampipeline.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "streampipeline.fullname" .) -}}
{{- end -}}

{{/* Restricted, as Pod Security Standards have it. */}}
{{- define "streampipeline.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "streampipeline.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
