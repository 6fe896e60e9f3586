variable "environment" {
  description = "Name of the environment; the namespace is orderhub-<environment>."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "The environment is dev, staging or production."
  }
}

variable "chart_repository" {
  description = "OCI repository of the chart."
  type        = string
  default     = "oci://ghcr.io/orderhub/charts"
}

variable "chart_version" {
  description = "Exact version of the chart."
  type        = string

  validation {
    condition     = can(regex("^\\d+\\.\\d+\\.\\d+(-[0-9A-Za-z.-]+)?$", var.chart_version))
    error_message = "The chart's version is exact, for example 1.4.2: no range."
  }
}

variable "image_digest" {
  description = "Digest of the image, from the release."
  type        = string

  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "The image is named by digest: sha256: and 64 hexadecimal digits."
  }
}

variable "mode" {
  description = "split: one Deployment per service. monolith: one Deployment for all."
  type        = string
  default     = "split"

  validation {
    condition     = contains(["split", "monolith"], var.mode)
    error_message = "The mode is split or monolith."
  }
}

variable "config" {
  description = "Environment of all services, without secrets."
  type        = map(string)
  default     = {}
}

variable "values" {
  description = "Additional values of the chart, which override those of this module."
  type        = any
  default     = {}
}

variable "secrets" {
  description = "Secret environment. Each service gets only the keys that it reads: USER_DATABASE_URL, ORDER_DATABASE_URL, …, REDIS_URL, SMTP_URL, …"
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "migration_secrets" {
  description = "DATABASE_URL of the schemas' owner, which migrates and creates the logins in the URLs of `secrets`."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "keys" {
  description = "Files of each service's key folder, by service (or monolith): the files that `node dist/keys.js init DIR` creates, each in the folders of the services that need it."
  type        = map(map(string))
  sensitive   = true
  ephemeral   = true

  validation {
    condition = alltrue([
      for name in var.mode == "monolith" ? ["monolith"] : ["gateway", "user", "order", "product", "notification", "audit"] :
      contains(keys(var.keys), name) && contains(keys(lookup(var.keys, name, {})), "public.json")
    ])
    error_message = "Every service needs its keys, public.json among them."
  }
}

variable "secrets_revision" {
  description = "Increase when secrets or keys change: write-only values cannot be compared."
  type        = number
}

variable "quota" {
  description = "Hard limits of the namespace's ResourceQuota."
  type        = map(string)
  default = {
    "requests.cpu"           = "16"
    "requests.memory"        = "24Gi"
    "limits.memory"          = "48Gi"
    "pods"                   = "100"
    "services.loadbalancers" = "0"
    "services.nodeports"     = "0"
  }
}
