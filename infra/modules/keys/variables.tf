variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "region" {
  description = "Region whose CloudWatch Logs may use the data key."
  type        = string
}

variable "deletion_window_days" {
  description = "Days (7 to 30) until a deleted key is destroyed with everything that it encrypted."
  type        = number
}

variable "publishing_services" {
  description = "AWS services of this account that publish to topics with the data key."
  type        = list(string)
  default     = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
}
