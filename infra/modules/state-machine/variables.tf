variable "name" {
  description = "The state machine's name, and its role's."
  type        = string
}

variable "region" {
  description = "Its region."
  type        = string
}

variable "definition" {
  description = "Amazon States Language, with every ARN filled in."
  type        = string
}

variable "type" {
  description = "EXPRESS, which bills by time and ends after five minutes, or STANDARD, which bills by transition and can wait for a job."
  type        = string
  default     = "EXPRESS"

  validation {
    condition     = contains(["EXPRESS", "STANDARD"], var.type)
    error_message = "The type must be EXPRESS or STANDARD."
  }
}

variable "function_arns" {
  description = "Functions that it may call."
  type        = list(string)
  default     = []
}

variable "policies" {
  description = "IAM policies (JSON) of what else its role may do."
  type        = list(string)
  default     = []
}

variable "alerts_topic_arn" {
  description = "Topic on which it reports failures."
  type        = string
}

variable "alerts_key_arn" {
  description = "KMS key of that topic."
  type        = string
}

variable "log_level" {
  description = "Which of an execution's events are logged: ALL, ERROR or FATAL."
  type        = string
}

variable "log_data" {
  description = "Whether inputs and outputs are logged with them."
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
