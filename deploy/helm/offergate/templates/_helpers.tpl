{{/* Names, labels and what follows from the values, each in one place. */}}

{{- define "offergate.name" -}}
{{- if contains "offergate" .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-offergate" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "offergate.selector" -}}
app.kubernetes.io/name: offergate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "offergate.labels" -}}
{{ include "offergate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: offergate
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "offergate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "offergate.isShared" -}}
{{- if ne .Values.store.kind "embedded" }}true{{ end -}}
{{- end -}}

{{/* Where the store is; never with a password. */}}
{{- define "offergate.store" -}}
{{- $store := .Values.store -}}
{{- if eq $store.kind "embedded" -}}
/var/lib/offergate/offergate.db
{{- else -}}
{{- $scheme := ternary "rediss" "redis" $store.tls.enabled -}}
{{- $kind := get (dict "redis" "" "sentinel" "+sentinel" "cluster" "+cluster") $store.kind -}}
{{- $user := ternary (printf "%s@" $store.user) "" (ne $store.user "") -}}
{{- $master := ternary (printf "/%s" $store.master) "" (eq $store.kind "sentinel") -}}
{{ $scheme }}{{ $kind }}://{{ $user }}{{ join "," $store.addresses }}{{ $master }}
{{- end -}}
{{- end -}}

{{/* The settings file: what the values say in words of their own, and then `settings`. */}}
{{- define "offergate.settings" -}}
listen = "0.0.0.0:7443"
management_listen = "0.0.0.0:9464"
store = {{ include "offergate.store" . | toJson }}
drain_timeout = "{{ .Values.drainSeconds }}s"
{{- if include "offergate.isShared" . }}
{{- with .Values.store }}
store_namespace = {{ .namespace | toJson }}
store_nodes = {{ .nodes }}
{{- if and .tls.enabled .tls.secretName }}
store_ca_file = "/etc/offergate/store-tls/ca.crt"
{{- if .tls.clientCertificate }}
store_certificate_file = "/etc/offergate/store-tls/tls.crt"
store_key_file = "/etc/offergate/store-tls/tls.key"
{{- end }}
{{- end }}
{{- end }}
journal = "/var/lib/offergate/journal.db"
{{- end }}
{{- if .Values.tls.secretName }}
tls_certificate_file = "/etc/offergate/tls/tls.crt"
tls_key_file = "/etc/offergate/tls/tls.key"
{{- end }}
{{- with .Values.identity }}
anonymous = {{ .anonymous | toJson }}
{{- if .oidc.issuer }}
oidc_issuer = {{ .oidc.issuer | toJson }}
oidc_audience = {{ .oidc.audience | toJson }}
oidc_roles_claim = {{ .oidc.rolesClaim | toJson }}
{{- with .oidc.jwksUrl }}
oidc_jwks_url = {{ . | toJson }}
{{- end }}
{{- end }}
{{- if or .certificates.secretName .certificates.configMapName }}
client_ca_file = "/etc/offergate/clients/ca.crt"
trust_domain = {{ .certificates.trustDomain | toJson }}
{{- if .certificates.revocations }}
client_crl_file = "/etc/offergate/clients/crl.pem"
{{- end }}
{{- end }}
{{- if .principals }}
principals_file = "/etc/offergate/settings/principals.yaml"
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }} = {{ $value | toJson }}
{{- end }}
{{- end -}}

{{/* What the store's Secrets take in a pod, for replicas and for the Job alike. */}}
{{- define "offergate.store.env" -}}
- name: OFFERGATE_CONFIG
  value: /etc/offergate/settings/offergate.toml
{{- if and (include "offergate.isShared" .) .Values.store.passwordSecret.name }}
- name: OFFERGATE_STORE_PASSWORD_FILE
  value: /etc/offergate/store/password
{{- end }}
{{- end -}}

{{- define "offergate.store.mounts" -}}
- name: settings
  mountPath: /etc/offergate/settings
  readOnly: true
{{- if include "offergate.isShared" . }}
{{- if .Values.store.passwordSecret.name }}
- name: store-password
  mountPath: /etc/offergate/store
  readOnly: true
{{- end }}
{{- if and .Values.store.tls.enabled .Values.store.tls.secretName }}
- name: store-tls
  mountPath: /etc/offergate/store-tls
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{/* Secrets are root's, for the group of `fsGroup` to read: 0440. */}}
{{- define "offergate.store.volumes" -}}
{{- if include "offergate.isShared" . }}
{{- with .Values.store.passwordSecret }}
{{- if .name }}
- name: store-password
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items:
      - {key: {{ .key }}, path: password}
{{- end }}
{{- end }}
{{- with .Values.store.tls }}
{{- if and .enabled .secretName }}
- name: store-tls
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "offergate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "offergate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
