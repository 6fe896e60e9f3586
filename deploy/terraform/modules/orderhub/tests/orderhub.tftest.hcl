mock_provider "helm" {}
mock_provider "kubernetes" {}

variables {
  environment      = "staging"
  chart_version    = "0.1.0"
  image_digest     = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
  secrets          = { USER_DATABASE_URL = "postgres://user_service:x@database/orderhub" }
  secrets_revision = 3

  migration_secrets = { DATABASE_URL = "postgres://orderhub@database/orderhub" }
  keys = {
    for name in ["gateway", "user", "order", "product", "notification", "audit"] : name => { "public.json" = "{}" }
  }
}

run "namespace_is_restricted" {
  assert {
    condition     = kubernetes_namespace_v1.this.metadata[0].name == "orderhub-staging"
    error_message = "The namespace carries the environment's name."
  }
  assert {
    condition = alltrue([
      for mode in ["enforce", "audit", "warn"] :
      kubernetes_namespace_v1.this.metadata[0].labels["pod-security.kubernetes.io/${mode}"] == "restricted"
      && kubernetes_namespace_v1.this.metadata[0].labels["pod-security.kubernetes.io/${mode}-version"] == "latest"
    ])
    error_message = "Pod Security restricted is enforced, audited and warned of."
  }
  assert {
    condition     = kubernetes_resource_quota_v1.this.spec[0].hard["services.loadbalancers"] == "0"
    error_message = "Nothing in the namespace opens itself to the outside."
  }
}

run "release_is_pinned" {
  assert {
    condition     = helm_release.this.version == "0.1.0" && helm_release.this.atomic
    error_message = "One version of the chart, rolled back when it fails."
  }
  assert {
    condition     = yamldecode(helm_release.this.values[0]).image.digest == var.image_digest
    error_message = "The image is named by digest."
  }
  assert {
    condition = yamldecode(helm_release.this.values[0]).keys == {
      generate        = false
      existingSecrets = { for name in ["gateway", "user", "order", "product", "notification", "audit"] : name => "orderhub-keys-${name}" }
    }
    error_message = "The chart makes no keys; each service gets its own."
  }
  assert {
    condition     = yamldecode(helm_release.this.values[0]).migrations == { existingSecret = "orderhub-migrations", logins = true }
    error_message = "The schemas' owner migrates, and no service."
  }
}

run "secrets_stay_out_of_the_state" {
  assert {
    condition = alltrue([
      for secret in [kubernetes_secret_v1.environment, kubernetes_secret_v1.migrations] :
      length(secret.data) == 0 && secret.data_wo == null
    ])
    error_message = "The state holds no secret."
  }
  assert {
    condition     = kubernetes_secret_v1.environment.data_wo_revision == 3 && kubernetes_secret_v1.keys["user"].data_wo_revision == 3
    error_message = "Secrets follow their revision."
  }
  assert {
    condition     = yamldecode(helm_release.this.values[0]).podAnnotations["orderhub/secrets-revision"] == "3"
    error_message = "A new revision of the secrets rolls the pods."
  }
}

run "monolith_has_one_set_of_keys" {
  variables {
    mode = "monolith"
    keys = { monolith = { "public.json" = "{}" } }
  }
  assert {
    condition     = keys(kubernetes_secret_v1.keys) == ["monolith"]
    error_message = "One process, one Secret with keys."
  }
}

run "a_tag_is_refused" {
  command = plan
  variables {
    image_digest = "0.1.0"
  }
  expect_failures = [var.image_digest]
}

run "a_range_of_versions_is_refused" {
  command = plan
  variables {
    chart_version = "~> 0.1"
  }
  expect_failures = [var.chart_version]
}

run "missing_keys_are_refused" {
  command = plan
  variables {
    keys = { gateway = { "public.json" = "{}" } }
  }
  expect_failures = [var.keys]
}
