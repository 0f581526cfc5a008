variable "defaults" {
  description = "What all functions have in common."
  type = object({
    prefix               = string
    packages_dir         = string
    architecture         = string
    log_retention_days   = number
    log_key_arn          = string
    permissions_boundary = string
  })
}

variable "name" {
  description = "The function's folder under functions/, and its package's name."
  type        = string
}

variable "description" {
  description = "What it does, in one sentence."
  type        = string
}

variable "memory_mb" {
  description = "Memory, with which processor time grows: one core at 1769 MB."
  type        = number
}

variable "timeout_seconds" {
  description = "How long one invocation may take."
  type        = number
}

variable "ephemeral_mb" {
  description = "Size of /tmp."
  type        = number
  default     = 512
}

variable "environment" {
  description = "Environment variables; never a secret."
  type        = map(string)
}

variable "policy" {
  description = "IAM policy (JSON) of what its role may do beyond logs and traces."
  type        = string
}
