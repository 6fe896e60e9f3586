output "namespace" {
  description = "Namespace of OrderHub."
  value       = kubernetes_namespace_v1.this.metadata[0].name
}

output "entry" {
  description = "Address of the gateway inside the cluster."
  value       = "http://${local.name}-gateway.${local.namespace}.svc:8080"
}
