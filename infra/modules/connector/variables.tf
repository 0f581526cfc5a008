variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "name" {
  description = <<-TEXT
    The connector's name: its folder under connectors/, and the prefix of its checkpoints.
  TEXT
  type        = string
}

variable "region" {
  description = "Region of the tasks."
  type        = string
}

variable "architecture" {
  description = "Architecture of the image: arm64 or x86_64."
  type        = string
}

variable "image_tag" {
  description = "Tag of the image; null before the first push: no task exists."
  type        = string
}

variable "cpu" {
  description = "CPU units of a task (1/1024 vCPU)."
  type        = number
}

variable "memory_mb" {
  description = "Memory of a task."
  type        = number
}

variable "environment" {
  description = "Environment variables of every task; never a secret."
  type        = map(string)
  default     = {}
}

variable "runs" {
  description = "Schedule and environment variables by shop. Empty for a service."
  type = map(object({
    schedule    = string
    time_zone   = string
    enabled     = bool
    environment = map(string)
  }))
  default = {}
}

variable "start_within_minutes" {
  description = "Maximum delay of a scheduled start."
  type        = number
  default     = 10
}

variable "give_up_after_minutes" {
  description = "Maximum time of retries of a failed start."
  type        = number
  default     = 30
}

variable "service" {
  description = "Scaling of a service; null for a scheduled connector."
  type        = object({ min_tasks = number, max_tasks = number, target_cpu_percent = number })
  default     = null
}

variable "cluster_arn" {
  description = "ECS cluster of the tasks."
  type        = string
}

variable "cluster_name" {
  description = "Name of the cluster."
  type        = string
}

variable "capacity_provider" {
  description = "FARGATE or FARGATE_SPOT."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the tasks."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the tasks."
  type        = string
}

variable "assign_public_ip" {
  description = "Whether a task has a public address while it runs."
  type        = bool
}

variable "stream_name" {
  description = "Stream that the connector writes to."
  type        = string
}

variable "stream_arn" {
  description = "ARN of the stream."
  type        = string
}

variable "lake_bucket" {
  description = "The lake's bucket, which stores the checkpoints."
  type        = string
}

variable "lake_bucket_arn" {
  description = "The lake's ARN."
  type        = string
}

variable "token_parameter_arns" {
  description = "Parameters (SecureString) of the APIs' tokens."
  type        = list(string)
}

variable "key_arn" {
  description = "KMS key of the lake, the stream, the images, the schedules and the logs."
  type        = string
}

variable "secrets_key_arn" {
  description = "KMS key of the tokens."
  type        = string
}

variable "dead_letter_queue_arn" {
  description = "Dead-letter queue of failed starts."
  type        = string
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the module's roles; null for none."
  type        = string
}
