variable "bucket" {
  description = "Name of the bucket for results, unique in all of AWS."
  type        = string
}

variable "account" {
  description = "The account that owns that bucket: results go to nobody else's bucket of the same name."
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
  description = "Gigabytes that one query may read before it is cancelled."
  type        = number
}

variable "workgroups" {
  description = "Name of each workgroup -> what it is for, and the folder of its results, with a slash at the end. Who may see one folder's results may not see another's."
  type        = map(object({ description = string, prefix = string }))
}
