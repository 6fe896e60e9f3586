variable "kubeconfig" {
  description = "kubeconfig file of the cluster."
  type        = string
}

variable "context" {
  description = "The cluster's context in that file. Required, so that nobody deploys to the current context by accident."
  type        = string
}

variable "chart_version" {
  type = string
}

variable "image_digest" {
  type = string
}

variable "secrets" {
  description = "Secret environment, from TF_VAR_secrets or a vault; never from a file in git."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "migration_secrets" {
  description = "DATABASE_URL of the schemas' owner, from TF_VAR_migration_secrets or a vault."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "keys" {
  description = "Files of each service's key folder."
  type        = map(map(string))
  sensitive   = true
  ephemeral   = true
}

variable "secrets_revision" {
  description = "Increase when secrets or keys change."
  type        = number
}
