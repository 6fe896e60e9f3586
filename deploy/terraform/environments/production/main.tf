terraform {
  required_version = ">= 1.11"

  # `terraform init -backend-config=FILE` sets bucket, key and region of the state.
  backend "s3" {}

  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = "3.1.2"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "3.2.1"
    }
  }
}

provider "kubernetes" {
  config_path    = var.kubeconfig
  config_context = var.context
}

provider "helm" {
  kubernetes = {
    config_path    = var.kubeconfig
    config_context = var.context
  }
}

module "orderhub" {
  source = "../../modules/orderhub"

  environment       = "production"
  chart_version     = var.chart_version
  image_digest      = var.image_digest
  secrets           = var.secrets
  migration_secrets = var.migration_secrets
  keys              = var.keys
  secrets_revision  = var.secrets_revision

  config = {
    PUBLIC_URL        = "https://orderhub.example"
    REQUIRE_ADMIN_MFA = "true"
  }
  values = {
    defaults = {
      autoscaling = { enabled = true, minReplicas = 3, maxReplicas = 12 }
    }
  }
}

output "entry" {
  value = module.orderhub.entry
}
