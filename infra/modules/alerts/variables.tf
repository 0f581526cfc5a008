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
