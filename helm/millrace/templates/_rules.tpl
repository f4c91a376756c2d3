{{/* What the operator may do in a namespace it serves. Creating by server-side apply needs create and patch. */}}
{{- define "millrace.rules" -}}
- apiGroups: [millrace.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch, patch, update]
- apiGroups: [millrace.dev]
  resources: [modeldeployments/status]
  verbs: [get, patch, update]
- apiGroups: [millrace.dev]
  resources: [modeldeployments/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods, services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods/status] # the readiness gate millrace.dev/routable
  verbs: [get, patch]
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
