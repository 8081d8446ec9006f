{{/*
The name that every object begins with: at most 38 characters, so that the longest of them, a pod of the load test, is a host
name. A release may have a name that no Service may have (it begins with a digit, has dots, is too long): the end is then a
hash of it, and two releases never share an object.
*/}}
{{- define "perfloop.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := ternary .Release.Name (printf "%s-perfloop" .Release.Name) (contains "perfloop" .Release.Name) -}}
{{- $safe := $name | replace "." "-" -}}
{{- if regexMatch "^[0-9]" $safe }}{{ $safe = printf "r%s" $safe }}{{ end -}}
{{- if or (ne $safe $name) (gt (len $safe) 38) -}}
{{- $safe = printf "%s-%s" ($safe | trunc 29 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $safe -}}
{{- end -}}
{{- end -}}

{{/* The address of one of the chart's own programs: (list $ "analyzer" 19110). */}}
{{- define "perfloop.address" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s.%s.svc:%v" (include "perfloop.fullname" $root) (index . 1) $root.Release.Namespace (index . 2) -}}
{{- end -}}

{{- define "perfloop.prometheusUrl" -}}
{{- $own := ternary (printf "http://%s" (include "perfloop.address" (list . "prometheus" 9090))) "http://prometheus-operated:9090" .Values.prometheus.enabled -}}
{{- default $own .Values.analyzer.prometheusUrl -}}
{{- end -}}

{{- define "perfloop.alertmanagerUrl" -}}
{{- $own := ternary (printf "http://%s" (include "perfloop.address" (list . "alertmanager" 9093))) "http://alertmanager-operated:9093" .Values.alertmanager.enabled -}}
{{- default $own .Values.analyzer.alertmanagerUrl -}}
{{- end -}}

{{/* What a selector may rest on: it can never be changed. (list $ "analyzer") */}}
{{- define "perfloop.selector" -}}
app.kubernetes.io/name: perfloop
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "perfloop.labels" -}}
{{- $root := index . 0 -}}
{{- $labels := include "perfloop.selector" . | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "perfloop" -}}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- /* Labels of the chart's own win: selectors and discovery rest on them. */ -}}
{{- merge $labels $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Metadata of an object: (list $ "analyzer") or (list $ "component" "a-longer-suffix"). */}}
{{- define "perfloop.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "perfloop.fullname" $root }}-{{ ternary (index . (sub (len .) 1)) (index . 1) (gt (len .) 2) }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "perfloop.labels" (list $root (index . 1)) | nindent 2 }}
{{- end -}}
