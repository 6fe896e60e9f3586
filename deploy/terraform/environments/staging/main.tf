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

  environment       = "staging"
  chart_version     = var.chart_version
  image_digest      = var.image_digest
  secrets           = var.secrets
  migration_secrets = var.migration_secrets
  keys              = var.keys
  secrets_revision  = var.secrets_revision

  config = {
    LOG_LEVEL  = "debug"
    PUBLIC_URL = "https://staging.orderhub.example"
  }
  values = {
    defaults = { replicas = 2 }
  }
  quota = {
    "requests.cpu"           = "6"
    "requests.memory"        = "12Gi"
    "limits.memory"          = "24Gi"
    "pods"                   = "50"
    "services.loadbalancers" = "0"
    "services.nodeports"     = "0"
  }
}

output "entry" {
  value = module.orderhub.entry
}
