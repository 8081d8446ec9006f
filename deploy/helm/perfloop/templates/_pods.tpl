{{- define "perfloop.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels and annotations of pods: (list $ "analyzer" .Values.analyzer). */}}
{{- define "perfloop.podMetadata" -}}
labels:
  {{- include "perfloop.labels" . | nindent 2 }}
{{- with (index . 2).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where pods run, and as whom: (list $ "analyzer" .Values.analyzer UID). PodSecurity "restricted" asks for the context. */}}
{{- define "perfloop.podSpec" -}}
{{- $root := index . 0 -}}
{{- $uid := index . 3 -}}
serviceAccountName: {{ include "perfloop.fullname" $root }}-{{ index . 1 }}
automountServiceAccountToken: {{ eq (index . 1) "prometheus" }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $uid }}
  runAsGroup: {{ $uid }}
  fsGroup: {{ $uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with index . 2 }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "perfloop.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* A container of our image: no root, nothing written outside of its volumes. */}}
{{- define "perfloop.ours" -}}
image: {{ include "perfloop.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "perfloop.containerSecurity" . | nindent 2 }}
{{- end -}}

{{/* A hung program is restarted after half a minute; one that is not ready but answers is left alone. */}}
{{- define "perfloop.probes" -}}
startupProbe:
  httpGet: {path: /-/healthy, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 150
readinessProbe:
  httpGet: {path: /-/ready, port: http}
  periodSeconds: 5
  timeoutSeconds: 4
livenessProbe:
  httpGet: {path: /-/healthy, port: http}
  periodSeconds: 10
  timeoutSeconds: 4
{{- end -}}

{{/* A volume for what must outlive the pod: (list $ "analyzer" .Values.analyzer.store). */}}
{{- define "perfloop.dataVolume" -}}
{{- $storage := index . 2 -}}
name: data
persistentVolumeClaim:
  claimName: {{ default (printf "%s-%s" (include "perfloop.fullname" (index . 0)) (index . 1)) $storage.existingClaim }}
{{- end -}}

{{- define "perfloop.claim" -}}
{{- $storage := index . 2 -}}
{{- if not $storage.existingClaim -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "perfloop.metadata" (list (index . 0) (index . 1)) | nindent 2 }}
  {{- if $storage.keep }}
  annotations: {helm.sh/resource-policy: keep}
  {{- end }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with $storage.storageClass }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests: {storage: {{ $storage.size | quote }}}
{{- end -}}
{{- end -}}

{{/* (list $ "analyzer" (dict "http" 19110)) */}}
{{- define "perfloop.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "perfloop.metadata" (list (index . 0) (index . 1)) | nindent 2 }}
spec:
  selector:
    {{- include "perfloop.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := index . 2 }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}}
    {{- end }}
{{- end -}}
