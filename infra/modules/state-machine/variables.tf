variable "name" {
  description = "The state machine's name, and its role's."
  type        = string
}

variable "region" {
  description = "Its region."
  type        = string
}

variable "definition" {
  description = "Definition in Amazon States Language with all ARNs."
  type        = string
}

variable "type" {
  description = <<-TEXT
    EXPRESS, billed by time with a limit of five minutes, or STANDARD, billed by transition, which
    can wait for a job.
  TEXT
  type        = string
  default     = "EXPRESS"

  validation {
    condition     = contains(["EXPRESS", "STANDARD"], var.type)
    error_message = "The type must be EXPRESS or STANDARD."
  }
}

variable "function_arns" {
  description = "Functions that it may invoke."
  type        = list(string)
  default     = []
}

variable "policies" {
  description = "Further IAM policies (JSON) of its role."
  type        = list(string)
  default     = []
}

variable "alerts" {
  description = "Topic of its alerts and the topic's KMS key; null if it publishes none."
  type = object({
    topic_arn = string
    key_arn   = string
  })
  default = null
}

variable "log_level" {
  description = "Log level of executions: ALL, ERROR or FATAL."
  type        = string
}

variable "log_data" {
  description = "Whether executions log inputs and outputs."
  type        = bool
}

variable "tracing" {
  description = "Whether executions appear in X-Ray."
  type        = bool
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}

variable "log_key_arn" {
  description = "KMS key of the logs."
  type        = string
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the module's roles; null for none."
  type        = string
}
