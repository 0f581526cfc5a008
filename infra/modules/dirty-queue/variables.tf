variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "region" {
  description = "Region of the queues."
  type        = string
}

variable "lake_bucket" {
  description = "Bucket whose new objects send messages."
  type        = string
}

variable "object_prefixes" {
  description = "Key prefixes whose new objects send messages."
  type        = list(string)
}

variable "visibility_seconds" {
  description = "Visibility timeout of a received message."
  type        = number
}
