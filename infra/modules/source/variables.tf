variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "name" {
  description = "The source's name in the contracts."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*([_-][a-z0-9]+)*$", var.name)) && length(var.name) <= 24
    error_message = <<-TEXT
      A source must be at most 24 lower-case letters, digits, hyphens and underscores, starting with
      a letter: it is part of stream names and object keys.
    TEXT
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
  description = "Retention of the stream in hours."
  type        = number
}

variable "lake_bucket_arn" {
  description = "Bucket of bronze."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the stream, the bucket and the logs."
  type        = string
}

variable "buffer_seconds" {
  description = "Seconds that Firehose buffers."
  type        = number
}

variable "buffer_mb" {
  description = "Megabytes that Firehose buffers."
  type        = number
}

variable "log_retention_days" {
  description = "Retention of Firehose's error log in days."
  type        = number
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the module's roles; null for none."
  type        = string
}
