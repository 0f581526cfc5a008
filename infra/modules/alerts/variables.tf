variable "name" {
  description = "The topic's name."
  type        = string
}

variable "key_arn" {
  description = "KMS key that encrypts the messages; its policy must let CloudWatch and EventBridge use it."
  type        = string
}

variable "email" {
  description = "Address to subscribe, or null."
  type        = string
}

variable "publishing_services" {
  description = "AWS services of this account that publish here; functions and state machines do by their roles."
  type        = list(string)
  default     = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
}
