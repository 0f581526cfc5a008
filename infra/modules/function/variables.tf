variable "defaults" {
  description = "Common settings of functions."
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
  description = "The function's name: its folder under functions/, and its package."
  type        = string
}

variable "description" {
  description = "Description in one sentence."
  type        = string
}

variable "memory_mb" {
  description = "Memory; CPU grows with it, one core at 1769 MB."
  type        = number
}

variable "timeout_seconds" {
  description = "Timeout of an invocation."
  type        = number
}

variable "reserved_concurrency" {
  description = <<-TEXT
    Concurrency that only this function uses, and its maximum; null for the account's shared one.
  TEXT
  type        = number
  default     = null
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
  description = "IAM policy (JSON) of the role, besides logs and traces."
  type        = string
}
