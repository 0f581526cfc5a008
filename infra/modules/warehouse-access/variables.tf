variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "region" {
  description = "Region of the workgroup and the lake."
  type        = string
}

variable "workgroup_arn" {
  description = "The workgroup of statements; null for every workgroup of this account and region."
  type        = string
}

variable "lake_bucket_arn" {
  description = "The lake's bucket."
  type        = string
}

variable "lake_key_arn" {
  description = "KMS key of the lake."
  type        = string
}

variable "readable_by_copying" {
  description = "Key patterns that COPY may read."
  type        = list(string)
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the module's roles; null for none."
  type        = string
}
