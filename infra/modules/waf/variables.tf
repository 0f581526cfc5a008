variable "name" {
  description = "Name of the web ACL, and of its metrics."
  type        = string
}

variable "region" {
  description = "Region of the API and of the log."
  type        = string
}

variable "stage_arn" {
  description = "The API stage that it protects."
  type        = string
}

variable "requests_per_ip" {
  description = "Requests of one address within the window before it is blocked."
  type        = number
}

variable "requests_per_shop" {
  description = "Requests of one address for one shop within the window before they are blocked."
  type        = number
}

variable "rate_window_seconds" {
  description = "Window of the limits: 60, 120, 300 or 600 seconds."
  type        = number
  default     = 300
}

variable "log_retention_days" {
  description = "Days that stopped requests are kept."
  type        = number
}

variable "log_key_arn" {
  description = "KMS key of that log."
  type        = string
}
