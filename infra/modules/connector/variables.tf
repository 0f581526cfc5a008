variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "name" {
  description = "The connector: its folder under connectors/, and of its checkpoints."
  type        = string
}

variable "region" {
  description = "Region of the tasks."
  type        = string
}

variable "architecture" {
  description = "Processor that the image was built for: arm64 or x86_64."
  type        = string
}

variable "image_tag" {
  description = "Tag of the image that runs; null where none has been pushed yet, and nothing runs."
  type        = string
}

variable "cpu" {
  description = "Processor of a task, in 1/1024 of one."
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
  description = "By shop: when it is polled, and the environment variables that say what. Empty for a connector that runs as a service."
  type = map(object({
    schedule    = string
    time_zone   = string
    enabled     = bool
    environment = map(string)
  }))
  default = {}
}

variable "start_within_minutes" {
  description = "How much later than scheduled a task may start."
  type        = number
  default     = 10
}

variable "give_up_after_minutes" {
  description = "How long a task that cannot be started is tried again."
  type        = number
  default     = 30
}

variable "service" {
  description = "Number of tasks and what they scale on, for a connector that does not end; null for one that does."
  type        = object({ min_tasks = number, max_tasks = number, target_cpu_percent = number })
  default     = null
}

variable "cluster_arn" {
  description = "ECS cluster of the tasks."
  type        = string
}

variable "cluster_name" {
  description = "That cluster's name."
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
  description = "Stream that the connector puts to."
  type        = string
}

variable "stream_arn" {
  description = "That stream's ARN."
  type        = string
}

variable "lake_bucket" {
  description = "The lake, which keeps the checkpoints."
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

variable "dead_letters_arn" {
  description = "Queue of runs that could not be started."
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
