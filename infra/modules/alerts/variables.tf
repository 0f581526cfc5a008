variable "name" {
  description = "The topic's name."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the messages; its policy must allow CloudWatch and EventBridge."
  type        = string
}

variable "email" {
  description = "Address of a subscription, or null."
  type        = string
}

variable "publishing_services" {
  description = <<-TEXT
    AWS services of this account that publish; functions and state machines publish by their roles.
  TEXT
  type        = list(string)
  default     = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
}
