{{/* Labels of every object. */}}
{{- define "trackbed.labels" -}}
app.kubernetes.io/part-of: trackbed
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "trackbed.selector" . }}
{{- end }}

{{/* Labels that select the operator's pods. */}}
{{- define "trackbed.selector" -}}
app.kubernetes.io/name: trackbed
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "trackbed.image" -}}
{{- .Values.images.operator | default (printf "docker.io/trackbed/operator:%s" .Chart.AppVersion) -}}
{{- end }}

{{/* The operator's settings. What is empty is left out: the operator knows the defaults. */}}
{{- define "trackbed.config" -}}
{{- $config := dict
  "operatorNamespace" .Release.Namespace
  "serviceAccount" "trackbed"
  "baseDomain" .Values.baseDomain
  "urlScheme" .Values.urlScheme
  "ingressNamespace" (include "trackbed.filled" .Values.ingressNamespace | fromYaml)
  "monitoringNamespace" (include "trackbed.filled" .Values.monitoringNamespace | fromYaml)
  "cloudnativePgNamespace" (include "trackbed.filled" .Values.cloudnativePgNamespace | fromYaml)
  "clusterCidrs" .Values.clusterCidrs
  "clusterDomain" .Values.clusterDomain
  "registry" (set (include "trackbed.filled" .Values.registry | fromYaml) "removeImages" .Values.registry.removeImages)
  "images" (merge (dict "operator" (include "trackbed.image" .)) .Values.images)
  "build" (set (include "trackbed.filled" .Values.build | fromYaml) "provenance" .Values.build.provenance)
  "concurrency" (int .Values.concurrency)
  "customDomains" .Values.customDomains
  "routing" .Values.routing
  "gateway" (set (deepCopy .Values.gateway) "httpsPort" (int .Values.gateway.httpsPort))
  "tls" (include "trackbed.filled" .Values.tls | fromYaml)
-}}
{{- if and (eq .Values.routing "Gateway") (not .Values.gateway.name) }}
{{- fail "routing: Gateway needs gateway.name and gateway.namespace: the Gateway that serves all Projects" }}
{{- end }}
{{- if .Values.webhooks.enabled }}
{{- $_ := set $config "webhooks" (dict "url" (include "trackbed.webhooks" .)) }}
{{- end }}
{{- with .Values.urlPort }}{{ $_ := set $config "urlPort" (int .) }}{{ end }}
{{- with .Values.ingressClass }}{{ $_ := set $config "ingressClass" . }}{{ end }}
{{- toYaml $config }}
{{- end }}

{{/* Base URL of webhooks. */}}
{{- define "trackbed.webhooks" -}}
{{- if .Values.webhooks.url -}}
{{- .Values.webhooks.url -}}
{{- else if .Values.webhooks.host -}}
https://{{ .Values.webhooks.host }}
{{- else -}}
{{- fail "webhooks.enabled needs webhooks.host (an Ingress is made for it) or webhooks.url (where you expose the Service trackbed-webhooks yourself)" -}}
{{- end -}}
{{- end }}

{{/* A map without its empty values, at any depth. */}}
{{- define "trackbed.filled" -}}
{{- $filled := dict }}
{{- range $key, $value := . }}
{{- if kindIs "map" $value }}{{ $value = include "trackbed.filled" $value | fromYaml }}{{ end }}
{{- if $value }}{{ $_ := set $filled $key $value }}{{ end }}
{{- end }}
{{- toYaml $filled }}
{{- end }}
