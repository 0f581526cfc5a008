variable "bucket" {
  description = "Name of the bucket for results, unique in all of AWS."
  type        = string
}

variable "account" {
  description = "The account that owns the bucket; results go to no bucket of another account."
  type        = string
}

variable "region" {
  description = "Region of the lake and the workgroups."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the results."
  type        = string
}

variable "results_days" {
  description = "Days until a result is deleted."
  type        = number
}

variable "max_scanned_gb" {
  description = "Gigabytes that one query may read."
  type        = number
}

variable "workgroups" {
  description = <<-TEXT
    Name of each workgroup -> description, and prefix of its results with a trailing slash. Readers
    of one prefix may not read another.
  TEXT
  type        = map(object({ description = string, prefix = string }))
}
