locals {
  name      = "orderhub"
  namespace = "orderhub-${var.environment}"
  labels = {
    "app.kubernetes.io/part-of"    = local.name
    "app.kubernetes.io/managed-by" = "terraform"
    environment                    = var.environment
  }
  components = toset(var.mode == "monolith" ? ["monolith"] : ["gateway", "user", "order", "product", "notification", "audit"])

  values = {
    mode           = var.mode
    image          = { digest = var.image_digest }
    config         = var.config
    existingSecret = kubernetes_secret_v1.environment.metadata[0].name
    # The owner's login migrates, and creates the logins of the services.
    migrations = { existingSecret = kubernetes_secret_v1.migrations.metadata[0].name, logins = true }
    keys = {
      generate        = false
      existingSecrets = { for name, secret in kubernetes_secret_v1.keys : name => secret.metadata[0].name }
    }
    # Pods read their environment only at the start; a new revision replaces them.
    podAnnotations = { "orderhub/secrets-revision" = tostring(var.secrets_revision) }
  }
}

resource "kubernetes_namespace_v1" "this" {
  metadata {
    name = local.namespace
    labels = merge(local.labels, {
      for pair in setproduct(["enforce", "audit", "warn"], [["", "restricted"], ["-version", "latest"]]) :
      "pod-security.kubernetes.io/${pair[0]}${pair[1][0]}" => pair[1][1]
    })
  }
}

resource "kubernetes_resource_quota_v1" "this" {
  metadata {
    name      = local.name
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }
  spec {
    hard = var.quota
  }
}

resource "kubernetes_limit_range_v1" "this" {
  metadata {
    name      = local.name
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }
  spec {
    limit {
      type            = "Container"
      default         = { memory = "256Mi" }
      default_request = { cpu = "50m", memory = "128Mi" }
      max             = { memory = "2Gi" }
    }
  }
}

resource "kubernetes_secret_v1" "environment" {
  metadata {
    name      = "${local.name}-environment"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }
  data_wo          = var.secrets
  data_wo_revision = var.secrets_revision
}

resource "kubernetes_secret_v1" "migrations" {
  metadata {
    name      = "${local.name}-migrations"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }
  data_wo          = var.migration_secrets
  data_wo_revision = var.secrets_revision
}

resource "kubernetes_secret_v1" "keys" {
  for_each = local.components

  metadata {
    name      = "${local.name}-keys-${each.key}"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }
  data_wo          = var.keys[each.key]
  data_wo_revision = var.secrets_revision
}

resource "helm_release" "this" {
  name       = local.name
  namespace  = kubernetes_namespace_v1.this.metadata[0].name
  repository = var.chart_repository
  chart      = local.name
  version    = var.chart_version
  values     = [yamlencode(local.values), yamlencode(var.values)]

  # A release that does not become ready is rolled back.
  atomic          = true
  cleanup_on_fail = true
  wait_for_jobs   = true
  timeout         = 900
  max_history     = 10

  depends_on = [kubernetes_resource_quota_v1.this, kubernetes_limit_range_v1.this]
}
