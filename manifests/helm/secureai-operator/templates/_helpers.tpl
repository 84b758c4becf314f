{{/* Labels of everything that is of the operator, as in manifests/base. */}}
{{- define "secureai-operator.labels" -}}
app.kubernetes.io/name: secureai-operator
app.kubernetes.io/part-of: secureai
{{- end }}

{{/* The image of the operator and of the node agent. */}}
{{- define "secureai-operator.image" -}}
{{- with .Values.image }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* "true" if pods are bound by the webhook. */}}
{{- define "secureai-operator.byWebhook" -}}
{{- if eq (.Values.config.binding | default "Auto") "Webhook" }}true{{ end }}
{{- end }}

{{/* The port of metrics and probes. */}}
{{- define "secureai-operator.httpPort" -}}
{{- .Values.config.httpPort | default 8080 | int }}
{{- end }}

{{/* The port of the webhook's container. */}}
{{- define "secureai-operator.webhookPort" -}}
{{- dig "webhook" "port" 9443 .Values.config | int }}
{{- end }}

{{/* The operator's config.yaml: the values as they are, and for the webhook where its Service and its Secret are. */}}
{{- define "secureai-operator.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if include "secureai-operator.byWebhook" . }}
{{- $folder := "/etc/secureai/webhook" }}
{{- $webhook := dict "host" "secureai-operator-webhook.secureai-system.svc" "port" 9443
  "certificateFile" (print $folder "/tls.crt") "keyFile" (print $folder "/tls.key") "caFile" (print $folder "/ca.crt") }}
{{- $_ := set $config "webhook" (merge (dict) ($config.webhook | default dict) $webhook) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* Seconds that a pod may take to end: what is in flight, and then some. */}}
{{- define "secureai-operator.graceSeconds" -}}
{{- add 13 (.Values.config.shutdownSeconds | default 1.5 | ceil | int) }}
{{- end }}

{{/* The ports of all Vaults, as JSON. */}}
{{- define "secureai-operator.vaultPorts" -}}
{{- $ports := list }}
{{- range $name, $connection := .Values.config.connections }}
{{- $named := regexFind ":[0-9]+$" $connection.address | trimPrefix ":" }}
{{- $ports = append $ports ($named | default (hasPrefix "https://" $connection.address | ternary "443" "80")) }}
{{- end }}
{{- $ports | uniq | sortAlpha | toJson }}
{{- end }}

{{/* The port of the collector of traces. */}}
{{- define "secureai-operator.tracingPort" -}}
{{- $named := regexFind ":[0-9]+$" .endpoint | trimPrefix ":" }}
{{- $named | default (hasPrefix "https://" .endpoint | ternary "443" "80") }}
{{- end }}

{{/* One peer of the settings, as a NetworkPolicy has it. */}}
{{- define "secureai-operator.peer" -}}
{{- if .cidr }}
- ipBlock: {cidr: {{ .cidr | quote }}}
{{- else }}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .namespace | quote }}}
  {{- with .podLabels }}
  podSelector:
    matchLabels: {{ toJson . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A file of ours that an uninstall leaves in the cluster; its object has no annotations of its own. */}}
{{- define "secureai-operator.kept" -}}
{{- . | replace "\nmetadata:\n" "\nmetadata:\n  annotations:\n    helm.sh/resource-policy: keep\n" }}
{{- end }}
