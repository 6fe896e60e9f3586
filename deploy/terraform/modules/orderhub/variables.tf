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
  description = "Version of the chart, exactly."
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
  description = "split runs a Deployment for each service, monolith one for all of them."
  type        = string
  default     = "split"

  validation {
    condition     = contains(["split", "monolith"], var.mode)
    error_message = "The mode is split or monolith."
  }
}

variable "config" {
  description = "Environment of all services; nothing secret."
  type        = map(string)
  default     = {}
}

variable "values" {
  description = "Further values of the chart; they win over those of this module."
  type        = any
  default     = {}
}

variable "secrets" {
  description = "Secret environment, of which each service gets the keys that it reads: USER_DATABASE_URL, ORDER_DATABASE_URL, …, REDIS_URL, SMTP_URL, …"
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "migration_secrets" {
  description = "DATABASE_URL of the schemas' owner, who migrates and makes the logins that the addresses in `secrets` name."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "keys" {
  description = "Files of each service's key folder, by service (or monolith): what `node dist/keys.js init DIR` made, each file where it belongs."
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
  description = "Counted up when secrets or keys change: what is write-only cannot be compared."
  type        = number
}

variable "quota" {
  description = "Hard limits of the namespace, as in a ResourceQuota."
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
