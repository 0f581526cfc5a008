variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "region" {
  description = "Region of the queues."
  type        = string
}

variable "lake_bucket" {
  description = "Bucket whose new objects count."
  type        = string
}

variable "object_prefixes" {
  description = "Key prefixes whose new objects count."
  type        = list(string)
}

variable "visibility_seconds" {
  description = "How long a received mark stays hidden from other readers."
  type        = number
}
