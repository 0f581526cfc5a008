variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "name" {
  description = "The source, as the contracts name it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*([_-][a-z0-9]+)*$", var.name)) && length(var.name) <= 24
    error_message = "A contract's source must be at most 24 lower-case letters, digits, hyphens and underscores, starting with a letter: it becomes part of stream names and object keys."
  }
}

variable "region" {
  description = "Region of the stream and the bucket."
  type        = string
}

variable "shards" {
  description = "Shards of the stream, or null for on demand."
  type        = number
}

variable "retention_hours" {
  description = "Hours that a record stays in the stream."
  type        = number
}

variable "lake_bucket_arn" {
  description = "Bucket that bronze is in."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the stream, the bucket and the logs."
  type        = string
}

variable "buffer_seconds" {
  description = "Seconds that Firehose gathers."
  type        = number
}

variable "buffer_mb" {
  description = "Megabytes that Firehose gathers at most."
  type        = number
}

variable "log_retention_days" {
  description = "Days that Firehose's errors are kept."
  type        = number
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the module's roles; null for none."
  type        = string
}
