variable "name" {
  description = "Name of the namespace and of the workgroup."
  type        = string
}

variable "region" {
  description = "Region of both."
  type        = string
}

variable "database" {
  description = "The namespace's first database."
  type        = string
}

variable "base_rpus" {
  description = "Base capacity in Redshift processing units."
  type        = number
}

variable "max_rpus" {
  description = "Maximum capacity in Redshift processing units."
  type        = number
}

variable "port" {
  description = "Port of the workgroup's endpoint."
  type        = number
  default     = 5439
}

variable "usage_limits" {
  description = "RPU hours by day, week or month, and the action at the limit."
  type        = map(object({ period = string, rpu_hours = number, action = string }))
}

variable "vpc_id" {
  description = "VPC of the endpoint."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the endpoint, in three zones."
  type        = list(string)
}

variable "client_cidrs" {
  description = "Networks from which BI tools connect."
  type        = list(string)
}

variable "s3_prefix_list_id" {
  description = "Prefix list of S3, the only egress of the warehouse."
  type        = string
}

variable "copy_role_arn" {
  description = "Role of COPY for reading the lake."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the data and of the snapshot schedule."
  type        = string
}

variable "secrets_key_arn" {
  description = "KMS key of the admin's secret."
  type        = string
}

variable "admin_password_days" {
  description = "Days after which the admin's password is rotated."
  type        = number
}

variable "snapshot_days" {
  description = "Days that daily snapshots are kept; null for none."
  type        = number
}

variable "dead_letter_queue_arn" {
  description = "Dead-letter queue of failed snapshots."
  type        = string
}

variable "log_retention_days" {
  description = "Days that audit logs are kept."
  type        = number
}

variable "log_key_arn" {
  description = "KMS key of the audit logs."
  type        = string
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the module's roles; null for none."
  type        = string
}
