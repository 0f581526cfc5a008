variable "bucket" {
  description = "The bucket's name, unique in all of AWS."
  type        = string
}

variable "key_arn" {
  description = "KMS key that encrypts the objects."
  type        = string
}

variable "bronze_archive_days" {
  description = "Days until a bronze object moves to Glacier Instant Retrieval."
  type        = number
}

variable "force_destroy" {
  description = "Whether destroy may delete a bucket with objects: never with real data."
  type        = bool
}
