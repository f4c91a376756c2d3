{{/* What the operator may do in a namespace it serves. It writes by patch only; server-side apply of what does not exist
needs create as well. */}}
{{- define "millrace.rules" -}}
- apiGroups: [millrace.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch, patch]
- apiGroups: [millrace.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
- apiGroups: [millrace.dev]
  resources: [modeldeployments/finalizers] # owner references that block deletion
  verbs: [update]
- apiGroups: [""]
  resources: [pods, services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods/status] # the readiness gate millrace.dev/routable
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets] # admin tokens of deployments and the API keys they name; never listed
  verbs: [get, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Zones are labels of nodes, and nodes belong to no namespace. */}}
{{- define "millrace.nodeRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list, watch]
{{- end -}}
