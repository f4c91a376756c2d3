{{/* What the operator may do in a namespace it serves, and nothing it does not do. It writes by create, patch and delete;
server-side apply of what does not exist needs create and patch. Children without delete go with their owner. */}}
{{- define "millrace.rules" -}}
- apiGroups: [millrace.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [millrace.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
- apiGroups: [millrace.dev]
  resources: [modeldeployments/finalizers] # owner references that block deletion
  verbs: [update]
- apiGroups: [""]
  resources: [pods, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods/status] # the readiness gate millrace.dev/routable
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [controllerrevisions] # the history of each deployment
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [secrets] # admin tokens, and whether those that a deployment names are there; never listed
  verbs: [get, create{{ if or .Values.namespaces .Values.rbac.patchSecrets }}, patch{{ end }}]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Zones are labels of nodes, and nodes belong to no namespace. */}}
{{- define "millrace.nodeRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list, watch]
{{- end -}}
