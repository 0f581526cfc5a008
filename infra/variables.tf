# ---- where ----------------------------------------------------------------------------------------------------------

variable "environment" {
  description = "Name of this copy of Shoplake; every resource is called shoplake-<environment>-... so that copies share an account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.environment)) && length(var.environment) <= 16
    error_message = "The environment must be 1 to 16 lower-case letters, digits and single hyphens, starting with a letter, such as local, test or eu-prod."
  }
}

variable "region" {
  description = "AWS region of everything here."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must be an AWS region's code, such as eu-central-1."
  }
}

variable "local" {
  description = "Whether this goes to LocalStack: sets the provider's skip flags, lets destroy delete a bucket that has objects, and gives URLs their local form."
  type        = bool
  default     = false
}

variable "local_endpoint" {
  description = "Where LocalStack listens, for the output api_url only (the provider reads AWS_ENDPOINT_URL). Unused on AWS."
  type        = string
  default     = "http://127.0.0.1:4566"

  validation {
    condition     = can(regex("^https?://[^/]+$", var.local_endpoint))
    error_message = "The local endpoint must be a scheme, a host and a port without a path, such as http://127.0.0.1:4566."
  }
}

# ---- what is deployed -----------------------------------------------------------------------------------------------

variable "packages_dir" {
  description = "Folder of the functions' packages, built beforehand: webhook.zip, conform.zip, dispatch.zip, transform.zip, load.zip, notify.zip, control.zip."
  type        = string

  validation {
    condition = alltrue([
      for name in ["webhook", "conform", "dispatch", "transform", "load", "notify", "control"] : fileexists("${var.packages_dir}/${name}.zip")
    ])
    error_message = "The packages folder must hold webhook.zip, conform.zip, dispatch.zip, transform.zip, load.zip, notify.zip and control.zip: build the packages first."
  }
}

variable "schemas_dir" {
  description = "Folder of the datasets' contracts, from which streams and deliveries are derived. Default: the repository's."
  type        = string
  default     = null
}

variable "statemachines_dir" {
  description = "Folder of the state machines' definitions. Default: the repository's."
  type        = string
  default     = null
}

variable "lambda_architecture" {
  description = "Processor that the packages were built for. The local cloud ignores it and runs them on the host's."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.lambda_architecture)
    error_message = "The architecture must be arm64 or x86_64."
  }
}

# ---- freshness, throughput, cost ------------------------------------------------------------------------------------

variable "stream_shards" {
  description = "Shards of each Kinesis stream; null lets Kinesis scale on demand, which costs more while idle and never needs an operator."
  type        = number
  default     = null

  validation {
    condition     = var.stream_shards == null || try(var.stream_shards >= 1 && var.stream_shards == floor(var.stream_shards), false)
    error_message = "The number of shards must be null (on demand) or a whole number of at least 1."
  }
}

variable "stream_retention_hours" {
  description = "How long a record stays readable in its stream. 72 hours give a broken consumer a weekend before it must be replayed from bronze."
  type        = number
  default     = 72

  validation {
    condition     = var.stream_retention_hours >= 24 && var.stream_retention_hours <= 8760
    error_message = "Kinesis keeps records for 24 to 8760 hours."
  }
}

variable "firehose_buffer_seconds" {
  description = "How long Firehose gathers records for one bronze object: fewer and larger objects against fresher ones."
  type        = number
  default     = 300

  validation {
    condition     = var.firehose_buffer_seconds >= 0 && var.firehose_buffer_seconds <= 900
    error_message = "Firehose buffers for 0 to 900 seconds."
  }
}

variable "firehose_buffer_mb" {
  description = "Megabytes (before compression) that Firehose gathers at most for one bronze object; conform reads such an object in one invocation."
  type        = number
  default     = 64

  validation {
    condition     = var.firehose_buffer_mb >= 1 && var.firehose_buffer_mb <= 128
    error_message = "Firehose buffers 1 to 128 MB."
  }
}

variable "conform_batches" {
  description = "How a stream's records reach conform: records and seconds per batch, batches in parallel per shard, and when a failing batch is given up to the conform-failed queue."
  type = object({
    size            = optional(number, 5000)
    window_seconds  = optional(number, 10)
    parallelization = optional(number, 1)
    retries         = optional(number, 20)
    max_age_seconds = optional(number, 21600)
  })
  default = {}

  validation {
    condition     = var.conform_batches.size >= 1 && var.conform_batches.size <= 10000
    error_message = "A Kinesis batch has 1 to 10000 records."
  }
  validation {
    condition     = var.conform_batches.window_seconds >= 0 && var.conform_batches.window_seconds <= 300
    error_message = "A batch window is 0 to 300 seconds."
  }
  validation {
    condition     = var.conform_batches.parallelization >= 1 && var.conform_batches.parallelization <= 10
    error_message = "Lambda reads a shard with 1 to 10 batches in parallel."
  }
  validation {
    condition     = var.conform_batches.retries >= 0 && var.conform_batches.retries <= 10000
    error_message = "Retries must be 0 to 10000; endless retries would block the shard behind one batch."
  }
  validation {
    condition     = var.conform_batches.max_age_seconds >= 60 && var.conform_batches.max_age_seconds <= 604800
    error_message = "The maximum record age is 60 to 604800 seconds."
  }
}

variable "dispatch_batches" {
  description = "How dirty marks reach dispatch: the larger the batch, the more marks of one partition become one job. Concurrency bounds how many batches are worked on at once."
  type = object({
    size           = optional(number, 1000)
    window_seconds = optional(number, 5)
    concurrency    = optional(number, 2)
  })
  default = {}

  validation {
    condition     = var.dispatch_batches.size >= 1 && var.dispatch_batches.size <= 10000
    error_message = "An SQS batch has 1 to 10000 messages."
  }
  validation {
    condition     = var.dispatch_batches.window_seconds >= (var.dispatch_batches.size > 10 ? 1 : 0) && var.dispatch_batches.window_seconds <= 300
    error_message = "A batch window is 0 to 300 seconds, and at least 1 for batches of more than 10 messages."
  }
  validation {
    condition     = var.dispatch_batches.concurrency >= 2 && var.dispatch_batches.concurrency <= 1000
    error_message = "Lambda bounds an SQS mapping's concurrency at 2 to 1000."
  }
}

variable "api_throttle" {
  description = "Requests that the whole API takes: steady rate per second, and burst."
  type = object({
    rate  = optional(number, 1000)
    burst = optional(number, 2000)
  })
  default = {}

  validation {
    condition     = var.api_throttle.rate > 0 && var.api_throttle.burst > 0
    error_message = "Rate and burst must be above zero, or the API refuses everything."
  }
}

variable "freshness_schedule" {
  description = "How often it is looked whether the datasets that say so in their contracts (fresh_within) still arrive."
  type        = string
  default     = "rate(15 minutes)"

  validation {
    condition     = can(regex("^(rate|cron)\\(.+\\)$", var.freshness_schedule))
    error_message = "The schedule must be an EventBridge expression, such as rate(15 minutes) or cron(0 * * * ? *)."
  }
}

variable "bronze_archive_days" {
  description = "Days until a bronze object moves to Glacier Instant Retrieval: still readable at once for a replay, a quarter of the price."
  type        = number
  default     = 90

  validation {
    condition     = var.bronze_archive_days >= 1
    error_message = "Bronze can be archived after 1 day at the earliest."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "state_machine_log_level" {
  description = "Which of an execution's events are logged: ALL shows every step of every execution, ERROR only what failed."
  type        = string
  default     = "ERROR"

  validation {
    condition     = contains(["ALL", "ERROR", "FATAL"], var.state_machine_log_level)
    error_message = "The level must be ALL, ERROR or FATAL; without logs an Express execution leaves no trace."
  }
}

# ---- people and neighbours ------------------------------------------------------------------------------------------

variable "alert_email" {
  description = "Address that gets the alerts, after confirming the subscription; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "The alert address must look like someone@example.com, or be null."
  }
}

variable "stock_alert_email" {
  description = "Address that is told of stock that runs low or out, after confirming the subscription; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.stock_alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.stock_alert_email))
    error_message = "The stock alert address must look like someone@example.com, or be null."
  }
}

variable "notify_within_hours" {
  description = "How long ago something may have begun that people are told of. Older rows, as a backfill brings, are no news."
  type        = number
  default     = 48

  validation {
    condition     = var.notify_within_hours >= 1 && var.notify_within_hours == floor(var.notify_within_hours)
    error_message = "The hours must be a whole number of at least 1."
  }
}

variable "notify_ended" {
  description = "Whether people who were told that something began are told that it is over."
  type        = bool
  default     = false
}

variable "manage_api_gateway_account" {
  description = "Whether to set the region's one API Gateway logging role here. Set it to false where another Terraform root of the account does, or they overwrite each other."
  type        = bool
  default     = true
}

variable "warehouse_workgroup" {
  description = "Redshift Serverless workgroup that load and control talk to. Default: shoplake-<environment>."
  type        = string
  default     = null
}

variable "warehouse_workgroup_arn" {
  description = "The workgroup's ARN, which names it by a generated id. Null permits load and control every workgroup of the account and region."
  type        = string
  default     = null

  validation {
    condition     = var.warehouse_workgroup_arn == null || can(regex("^arn:[a-z-]+:redshift-serverless:[a-z0-9-]+:[0-9]{12}:workgroup/.+$", var.warehouse_workgroup_arn))
    error_message = "The workgroup's ARN must look like arn:aws:redshift-serverless:<region>:<account>:workgroup/<id>, or be null."
  }
}

variable "warehouse_database" {
  description = "Database in that workgroup."
  type        = string
  default     = "shoplake"

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_]{0,63}$", var.warehouse_database))
    error_message = "The database must be a lower-case identifier of at most 64 characters."
  }
}
