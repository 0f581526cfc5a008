# ---- environment ---------------------------------------------------------------------------------

variable "environment" {
  description = <<-TEXT
    Name of the environment. Resources are named shoplake-<environment>-..., so that environments
    can share an account.
  TEXT
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.environment)) && length(var.environment) <= 16
    error_message = <<-TEXT
      The environment must be 1 to 16 lower-case letters, digits and single hyphens, starting with a
      letter, such as local, test or eu-prod.
    TEXT
  }
}

variable "region" {
  description = "AWS region of all resources."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must be an AWS region's code, such as eu-central-1."
  }
}

variable "local" {
  description = <<-TEXT
    Whether this is the local cloud (LocalStack): sets the provider's skip flags, allows destroy to
    delete a bucket with objects, and uses local URLs.
  TEXT
  type        = bool
  default     = false
}

variable "local_endpoint" {
  description = <<-TEXT
    LocalStack's endpoint, for the output api_url only (the provider reads AWS_ENDPOINT_URL). Unused
    on AWS.
  TEXT
  type        = string
  default     = "http://127.0.0.1:4566"

  validation {
    condition     = can(regex("^https?://[^/]+$", var.local_endpoint))
    error_message = <<-TEXT
      The local endpoint must be a scheme, a host and a port without a path, such as
      http://127.0.0.1:4566.
    TEXT
  }
}

variable "force_destroy" {
  description = <<-TEXT
    Whether destroy may delete a lake with objects. False refuses, so that data is deleted only
    after an operator has emptied the bucket.
  TEXT
  type        = bool
  default     = false
}

variable "has_permissions_boundary" {
  description = <<-TEXT
    Whether every role has the permissions boundary shoplake-boundary-<environment> of the
    bootstrap. GitHub's deploy role requires it; set it to false only for an account without
    bootstrap.
  TEXT
  type        = bool
  default     = true
}

# ---- packages ------------------------------------------------------------------------------------

variable "packages_dir" {
  description = <<-TEXT
    Folder of the built packages: webhook.zip, conform.zip, dispatch.zip, transform.zip, load.zip,
    notify.zip, control.zip, and catalog.json, which describes the lake's tables.
  TEXT
  type        = string

  validation {
    condition = alltrue([
      for name in ["webhook", "conform", "dispatch", "transform", "load", "notify", "control"] : fileexists("${var.packages_dir}/${name}.zip")
    ])
    error_message = <<-TEXT
      The packages folder must have webhook.zip, conform.zip, dispatch.zip, transform.zip, load.zip,
      notify.zip and control.zip: run `make package`.
    TEXT
  }
  validation {
    condition     = var.local || fileexists("${var.packages_dir}/catalog.json")
    error_message = <<-TEXT
      The packages folder must have catalog.json, which describes the lake's tables: run `make
      package`.
    TEXT
  }
}

variable "schemas_dir" {
  description = <<-TEXT
    Folder of the datasets' contracts, which define streams and deliveries. Default: the
    repository's.
  TEXT
  type        = string
  default     = null
}

variable "statemachines_dir" {
  description = "Folder of the state machines' definitions. Default: the repository's."
  type        = string
  default     = null
}

variable "lambda_architecture" {
  description = <<-TEXT
    Architecture of the functions' packages and the connectors' images. The local cloud ignores it
    and uses the host's.
  TEXT
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.lambda_architecture)
    error_message = "The architecture must be arm64 or x86_64."
  }
}

# ---- freshness, throughput, cost -----------------------------------------------------------------

variable "stream_shards" {
  description = <<-TEXT
    Shards of each Kinesis stream; null selects on-demand scaling, which costs more while idle and
    needs no operator.
  TEXT
  type        = number
  default     = null

  validation {
    condition     = var.stream_shards == null || try(var.stream_shards >= 1 && var.stream_shards == floor(var.stream_shards), false)
    error_message = "The number of shards must be null (on demand) or a whole number of at least 1."
  }
}

variable "stream_retention_hours" {
  description = <<-TEXT
    Retention of a stream in hours. 72 hours allow for a failed consumer over a weekend without a
    replay from bronze.
  TEXT
  type        = number
  default     = 72

  validation {
    condition     = var.stream_retention_hours >= 24 && var.stream_retention_hours <= 8760
    error_message = "Kinesis keeps records for 24 to 8760 hours."
  }
}

variable "firehose_buffer_seconds" {
  description = <<-TEXT
    Seconds that Firehose buffers records for one bronze object: larger and fewer objects, or
    fresher ones.
  TEXT
  type        = number
  default     = 300

  validation {
    condition     = var.firehose_buffer_seconds >= 0 && var.firehose_buffer_seconds <= 900
    error_message = "Firehose buffers for 0 to 900 seconds."
  }
}

variable "firehose_buffer_mb" {
  description = <<-TEXT
    Megabytes (uncompressed) that Firehose buffers for one bronze object; conform reads an object in
    one invocation.
  TEXT
  type        = number
  default     = 64

  validation {
    condition     = var.firehose_buffer_mb >= 1 && var.firehose_buffer_mb <= 128
    error_message = "Firehose buffers 1 to 128 MB."
  }
}

variable "conform_batches" {
  description = <<-TEXT
    Batches of stream records for conform: records and seconds per batch, parallel batches per
    shard, and the limits after which a failing batch goes to the dead-letter queue.
  TEXT
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
    error_message = "Retries must be 0 to 10000; unlimited retries would block the shard."
  }
  validation {
    condition     = var.conform_batches.max_age_seconds >= 60 && var.conform_batches.max_age_seconds <= 604800
    error_message = "The maximum record age is 60 to 604800 seconds."
  }
}

variable "dispatch_batches" {
  description = <<-TEXT
    Batches of dirty-partition messages for dispatch: in a larger batch, more messages of one
    partition become one job. Concurrency limits the number of parallel batches.
  TEXT
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
    error_message = <<-TEXT
      A batch window is 0 to 300 seconds, and at least 1 for batches of more than 10 messages.
    TEXT
  }
  validation {
    condition     = var.dispatch_batches.concurrency >= 2 && var.dispatch_batches.concurrency <= 1000
    error_message = "Lambda limits an SQS mapping's concurrency to 2 to 1000."
  }
}

variable "api_throttle" {
  description = "Throttle of the API: requests per second, and burst."
  type = object({
    rate  = optional(number, 1000)
    burst = optional(number, 2000)
  })
  default = {}

  validation {
    condition     = var.api_throttle.rate > 0 && var.api_throttle.burst > 0
    error_message = "Rate and burst must be above zero, or the API rejects every request."
  }
}

variable "freshness_schedule" {
  description = <<-TEXT
    Schedule of the freshness check, which compares datasets with the fresh_within of their
    contracts.
  TEXT
  type        = string
  default     = "rate(15 minutes)"

  validation {
    condition     = can(regex("^(rate|cron)\\(.+\\)$", var.freshness_schedule))
    error_message = <<-TEXT
      The schedule must be an EventBridge expression, such as rate(15 minutes) or cron(0 * * * ? *).
    TEXT
  }
}

variable "sweep_schedule" {
  description = <<-TEXT
    Schedule of the sweep, which sends what partitions owe: changes whose message was lost, commits
    that were not published or loaded, failed steps that are due again.
  TEXT
  type        = string
  default     = "rate(5 minutes)"

  validation {
    condition     = can(regex("^(rate|cron)\\(.+\\)$", var.sweep_schedule))
    error_message = <<-TEXT
      The schedule must be an EventBridge expression, such as rate(5 minutes) or cron(0 * * * ? *).
    TEXT
  }
}

variable "max_runs" {
  description = <<-TEXT
    The most jobs that run in Lambda at the same time; `glue` limits those on Glue. Backfills and days older than three days use half of
    them, so that live data comes first. Keep it below the account's concurrency of Lambda, which
    the webhook and conform share.
  TEXT
  type        = number
  default     = 20

  validation {
    condition     = var.max_runs >= 1 && var.max_runs <= 1000 && floor(var.max_runs) == var.max_runs
    error_message = "The number of concurrent jobs is a whole number from 1 to 1000."
  }
}

variable "old_day_limits" {
  description = <<-TEXT
    Limits of old data by shop and hour, because new rows of an old day recompute the day in each
    model that reads it. accepted: partitions (days or hours) over two days old or in the future
    that one instance of the webhook accepts; it refuses further ones. computed: days older than
    three days that a shop makes the pipeline compute; further ones wait for their turn. Named
    backfills, connectors and replays are not limited.
  TEXT
  type = object({
    accepted = optional(number, 48)
    computed = optional(number, 48)
  })
  default = {}

  validation {
    condition     = alltrue([for limit in values(var.old_day_limits) : limit >= 1 && limit <= 65535 && floor(limit) == limit])
    error_message = "A limit of old days is a whole number from 1 to 65535."
  }
}

variable "reserved_concurrency" {
  description = <<-TEXT
    Concurrency of Lambda that only the webhook and conform use, so that jobs never take it from
    them. It is also their maximum: conform uses one for each shard of each stream that it reads,
    times conform_batches.parallelization. Null reserves none. AWS keeps 100 of an account's
    concurrency unreserved and rejects more, and a new account may have 10 in all.
  TEXT
  type = object({
    webhook = optional(number)
    conform = optional(number)
  })
  default = {}

  validation {
    condition     = alltrue([for value in values(var.reserved_concurrency) : value == null ? true : value >= 1])
    error_message = "A reserved concurrency is at least 1; null reserves none."
  }
}

variable "bronze_archive_days" {
  description = <<-TEXT
    Days until a bronze object moves to Glacier Instant Retrieval: immediately readable for a
    replay, at a quarter of the price.
  TEXT
  type        = number
  default     = 90

  validation {
    condition     = var.bronze_archive_days >= 1
    error_message = "bronze_archive_days must be at least 1."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = <<-TEXT
      log_retention_days must be a retention of CloudWatch: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150,
      180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days.
    TEXT
  }
}

variable "state_machine_log_level" {
  description = <<-TEXT
    Log level of executions: ALL logs every step of every execution, ERROR only failures.
  TEXT
  type        = string
  default     = "ERROR"

  validation {
    condition     = contains(["ALL", "ERROR", "FATAL"], var.state_machine_log_level)
    error_message = <<-TEXT
      The level must be ALL, ERROR or FATAL; without logs an Express execution has no history.
    TEXT
  }
}

variable "state_machine_log_data" {
  description = <<-TEXT
    Whether executions log their inputs and outputs, for the time of an investigation. They may hold
    rows of failed checks, and so personal data.
  TEXT
  type        = bool
  default     = false
}

# ---- jobs too big for a function -----------------------------------------------------------------

variable "glue_above_mb" {
  description = <<-TEXT
    Megabytes of stored input above which a job runs with Spark on Glue instead of the function
    transform, which keeps its inputs in memory (half of 3008 MB is for operators) and has 100
    seconds. No effect on the local cloud.
  TEXT
  type        = number
  default     = 256

  validation {
    condition     = var.glue_above_mb >= 1 && var.glue_above_mb <= 1024 && var.glue_above_mb == floor(var.glue_above_mb)
    error_message = <<-TEXT
      The threshold must be a whole number of 1 to 1024 megabytes: the function cannot hold more.
    TEXT
  }
}

variable "glue" {
  description = <<-TEXT
    Limits of Glue runs: workers (G.1X: 4 vCPU, 16 GB) up to which a run scales, minutes until its
    timeout, and concurrent runs, beyond which others wait.
  TEXT
  type = object({
    workers         = optional(number, 10)
    timeout_minutes = optional(number, 60)
    concurrent_runs = optional(number, 3)
  })
  default = {}

  validation {
    condition     = var.glue.workers >= 2 && var.glue.workers <= 299 && var.glue.workers == floor(var.glue.workers)
    error_message = "A run has 2 (a driver and a worker) to 299 workers."
  }
  validation {
    condition     = var.glue.timeout_minutes >= 5 && var.glue.timeout_minutes <= 60 && var.glue.timeout_minutes == floor(var.glue.timeout_minutes)
    error_message = <<-TEXT
      The timeout must be a whole number of 5 to 60 minutes: the state machine waits 75 for a run,
      which takes a while to start.
    TEXT
  }
  validation {
    condition     = var.glue.concurrent_runs >= 1 && var.glue.concurrent_runs <= 50 && var.glue.concurrent_runs == floor(var.glue.concurrent_runs)
    error_message = <<-TEXT
      concurrent_runs must be a whole number of 1 to 50; AWS allows 50 per account by default.
    TEXT
  }
}

# ---- alerts, notifications, existing warehouse ---------------------------------------------------

variable "alert_email" {
  description = "Address that receives alerts, after confirming the subscription; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "The alert address must look like someone@example.com, or be null."
  }
}

variable "stock_alert_email" {
  description = <<-TEXT
    Address that receives stock alerts, after confirming the subscription; null for none.
  TEXT
  type        = string
  default     = null

  validation {
    condition     = var.stock_alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.stock_alert_email))
    error_message = "The stock alert address must look like someone@example.com, or be null."
  }
}

variable "notify_within_hours" {
  description = <<-TEXT
    Maximum age in hours of a row that is notified. Older rows, such as those of a backfill, are not
    notified.
  TEXT
  type        = number
  default     = 48

  validation {
    condition     = var.notify_within_hours >= 1 && var.notify_within_hours == floor(var.notify_within_hours)
    error_message = "The hours must be a whole number of at least 1."
  }
}

variable "notify_ended" {
  description = <<-TEXT
    Whether the end of a notified state is notified too, such as stock that is available again.
  TEXT
  type        = bool
  default     = false
}

variable "warehouse_workgroup" {
  description = <<-TEXT
    An existing Redshift Serverless workgroup for load and control. Null creates one named
    shoplake-<environment> (on AWS).
  TEXT
  type        = string
  default     = null
}

variable "warehouse_workgroup_arn" {
  description = <<-TEXT
    The existing workgroup's ARN, which has a generated id. Null, with warehouse_workgroup set,
    permits load and control every workgroup of the account and region.
  TEXT
  type        = string
  default     = null

  validation {
    condition     = var.warehouse_workgroup_arn == null || can(regex("^arn:[a-z-]+:redshift-serverless:[a-z0-9-]+:[0-9]{12}:workgroup/.+$", var.warehouse_workgroup_arn))
    error_message = <<-TEXT
      The workgroup's ARN must look like
      arn:aws:redshift-serverless:<region>:<account>:workgroup/<id>, or be null.
    TEXT
  }
}

variable "warehouse_database" {
  description = "Database in the workgroup."
  type        = string
  default     = "shoplake"

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_]{0,63}$", var.warehouse_database))
    error_message = "The database must be a lower-case identifier of at most 64 characters."
  }
}

# ---- edge ----------------------------------------------------------------------------------------

variable "waf" {
  description = <<-TEXT
    Whether the API has a web ACL (on AWS only; about 10 USD a month and 0.60 USD per million
    requests), and its rate limits per address in five minutes: for all shops, and for each shop
    (default 10000, or requests_per_ip if that is less). Raise the former if many shops share one
    provider's address.
  TEXT
  type = object({
    enabled           = optional(bool, true)
    requests_per_ip   = optional(number, 20000)
    requests_per_shop = optional(number)
  })
  default = {}

  validation {
    condition     = alltrue([for limit in [var.waf.requests_per_ip, coalesce(var.waf.requests_per_shop, 10000)] : limit >= 10 && limit <= 2000000000])
    error_message = "Rate limits of WAF must be 10 to 2,000,000,000 requests."
  }
  validation {
    condition     = coalesce(var.waf.requests_per_shop, 10) <= var.waf.requests_per_ip
    error_message = <<-TEXT
      requests_per_shop must be at most requests_per_ip, the limit of an address for all shops.
    TEXT
  }
}

variable "api_key_required" {
  description = <<-TEXT
    Whether events need an API key, by which API Gateway applies shop_limits. The key does not
    authenticate the sender; the signature does.
  TEXT
  type        = bool
  default     = false
}

variable "shop_limits" {
  description = <<-TEXT
    Limits by shop: requests per second (rate), burst, and a quota of requests per DAY, WEEK or
    MONTH. Each shop gets an API key.
  TEXT
  type = map(object({
    rate  = number
    burst = number
    quota = optional(object({ requests = number, per = string }))
  }))
  default = {}

  validation {
    condition     = alltrue([for shop in keys(var.shop_limits) : can(regex("^[a-z0-9_-]{1,63}$", shop))])
    error_message = <<-TEXT
      A shop's id must be 1 to 63 lower-case letters, digits, hyphens and underscores.
    TEXT
  }
  validation {
    condition     = alltrue([for limits in values(var.shop_limits) : limits.rate > 0 && limits.burst > 0])
    error_message = <<-TEXT
      Rate and burst of a shop must be above zero; to block a shop, rotate its secret twice.
    TEXT
  }
  validation {
    condition = alltrue([
      for limits in values(var.shop_limits) : limits.quota == null || try(limits.quota.requests > 0 && contains(["DAY", "WEEK", "MONTH"], limits.quota.per), false)
    ])
    error_message = "A quota must be a number of requests above zero per DAY, WEEK or MONTH."
  }
  validation {
    condition     = var.api_key_required == (length(var.shop_limits) > 0)
    error_message = <<-TEXT
      shop_limits and api_key_required must be set together: a limit needs a key, and a key exists
      only for a limit.
    TEXT
  }
}

variable "custom_domain" {
  description = <<-TEXT
    The API's custom domain: name, ARN of its certificate (ACM, same region), its Route 53 zone
    (null for other DNS, see the output custom_domain_target), and whether it is the only name. Null
    for the default name.
  TEXT
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
    only            = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.custom_domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.custom_domain.name))
    error_message = "The domain must be a host name such as events.example.com."
  }
  validation {
    condition     = var.custom_domain == null || can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.custom_domain.certificate_arn))
    error_message = <<-TEXT
      The certificate must be an ACM certificate: arn:aws:acm:<region>:<account>:certificate/<id>.
    TEXT
  }
}

# ---- observability and cost ----------------------------------------------------------------------

variable "alarms" {
  description = <<-TEXT
    Thresholds of alarms: lag_seconds of streams and deliveries, kpi_seconds from receipt to the
    warehouse (p90), quarantine_percent and rejected_percent of a dataset's events, latency_seconds
    of the API (p99).
  TEXT
  type = object({
    lag_seconds        = optional(number, 300)
    kpi_seconds        = optional(number, 900)
    quarantine_percent = optional(number, 5)
    rejected_percent   = optional(number, 20)
    latency_seconds    = optional(number, 3)
  })
  default = {}

  validation {
    condition     = alltrue([for limit in values(var.alarms) : limit > 0])
    error_message = "Every threshold must be above zero, or its alarm never ends."
  }
  validation {
    condition     = var.alarms.quarantine_percent <= 100 && var.alarms.rejected_percent <= 100
    error_message = "A share must be at most 100 percent."
  }
}

variable "monthly_budget" {
  description = <<-TEXT
    Monthly budget in US dollars. Actual or forecast costs of 80 and 100 percent send an alert to
    the alerts topic and these addresses. only_this_environment needs the cost allocation tag
    Environment, activated in the account's billing. Null for none.
  TEXT
  type = object({
    usd                   = number
    emails                = optional(list(string), [])
    only_this_environment = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.monthly_budget == null || try(var.monthly_budget.usd > 0, false)
    error_message = "A budget must be above zero."
  }
}

variable "tags" {
  description = "Tags of every resource in addition to Project, Environment and ManagedBy."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.tags) : !startswith(lower(name), "aws:") && !contains(["Project", "Environment", "ManagedBy"], name)])
    error_message = <<-TEXT
      Tag names must not begin with aws:, which AWS reserves, nor be Project, Environment or
      ManagedBy.
    TEXT
  }
}

# ---- network -------------------------------------------------------------------------------------

variable "vpc_cidr" {
  description = "CIDR block of the VPC. It must not overlap with connected networks."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(16|17|18|19|20)$", var.vpc_cidr))
    error_message = <<-TEXT
      The VPC's CIDR block must be /16 to /20, such as 10.42.0.0/16; the warehouse's subnets need
      the addresses.
    TEXT
  }
}

variable "availability_zones" {
  description = <<-TEXT
    Availability zones of the subnets, of which the first three are used; null for the first three
    of the region. Redshift Serverless requires three.
  TEXT
  type        = list(string)
  default     = null

  validation {
    condition     = var.availability_zones == null || try(length(distinct(var.availability_zones)) >= 2, false)
    error_message = <<-TEXT
      There must be at least two different zones, three for a warehouse, such as ["eu-central-1a",
      "eu-central-1b", "eu-central-1c"].
    TEXT
  }
}

variable "connector_egress" {
  description = <<-TEXT
    How connectors reach the APIs that they poll.
    - public_ip (default): tasks run in public subnets with a public address each, without inbound
      access. 0.005 USD per address and hour: cents a month for short tasks.
    - private: no internet access. APIs are reached by peering, Transit Gateway or PrivateLink
      (connector_networks), AWS by 5 interface endpoints: about 0.01 USD per zone and hour each, 36
      USD a month in one zone.
    - nat: private subnets behind a NAT gateway with a fixed address, for vendors that allow known
      addresses only. About 33 USD a month in us-east-1, and 0.045 USD per GB, used or not.
  TEXT
  type        = string
  default     = "public_ip"

  validation {
    condition     = contains(["private", "public_ip", "nat"], var.connector_egress)
    error_message = "connector_egress must be private, public_ip or nat."
  }
}

variable "connector_networks" {
  description = <<-TEXT
    Networks of the APIs that connectors reach without the internet (connector_egress = private);
    add a route to them to the private route table.
  TEXT
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.connector_networks : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = <<-TEXT
      Each network must be a CIDR block such as 10.0.0.0/16, and not the whole internet.
    TEXT
  }
}

variable "interface_endpoint_zones" {
  description = <<-TEXT
    Number of zones of each interface endpoint (connector_egress = private). Each zone is billed;
    during an outage of the only zone, tasks fail and run again later.
  TEXT
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 2, 3], var.interface_endpoint_zones)
    error_message = "The number of zones must be 1, 2 or 3."
  }
}

# ---- connectors ----------------------------------------------------------------------------------

variable "connectors" {
  description = <<-TEXT
    Connector (pos, inventory, oltp) -> shop -> its API or database:
    - base_url; for oltp postgres://<user>@<host>/<database>.
    - token_parameter: the SecureString with its token or password (default
      /shoplake-<environment>/connectors/<connector>/<shop>/token).
    - schedule, in time_zone (default 04:30 for pos, the fifth minute of each hour for inventory,
      03:30 for oltp). A run of pos fetches yesterday by the shop's clock, a run of inventory the
      last full hour: leave 45 minutes of the hour for it.
    - time_zone: the shop's IANA time zone, such as America/Los_Angeles (default UTC). oltp reads
      times without a zone in it.
    - refetch_days: the number of last days that a run of pos fetches again, for late deliveries
      (default: the connector's).
    - page_size; enabled; settings: further variables of the connector's README. oltp needs
      OLTP_CURRENCY, and takes all orders on Sundays unless FULL_EXTRACT_ON names another day.
  TEXT
  type = map(map(object({
    base_url        = string
    token_parameter = optional(string)
    schedule        = optional(string)
    time_zone       = optional(string, "UTC")
    refetch_days    = optional(number)
    page_size       = optional(number, 500)
    settings        = optional(map(string), {})
    enabled         = optional(bool, true)
  })))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.connectors) : contains(keys(local.known_connectors), name)])
    error_message = <<-TEXT
      Unknown connector: expected one of ${join(", ", keys(local.known_connectors))}.
    TEXT
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in keys(shops) : can(regex("^[a-z0-9][a-z0-9_-]{0,62}$", shop))])])
    error_message = <<-TEXT
      A shop's id must be 1 to 63 lower-case letters, digits, hyphens and underscores, starting with
      a letter or a digit.
    TEXT
  }
  validation {
    condition     = alltrue([for name, shops in var.connectors : name == "oltp" || alltrue([for shop in values(shops) : can(regex("^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[^?#]*)?$", shop.base_url))])])
    error_message = <<-TEXT
      A base URL must be https without a query, such as https://pos.example.com: every request has a
      token.
    TEXT
  }
  validation {
    condition     = alltrue([for shop in values(lookup(var.connectors, "oltp", {})) : can(regex("^postgres(ql)?://[^/:@?#]+@[A-Za-z0-9.-]+(:[0-9]+)?/[^/?#]+$", shop.base_url))])
    error_message = <<-TEXT
      The base URL of a database must be postgres://<user>@<host>:<port>/<database>. Connections use
      TLS; the password is in token_parameter.
    TEXT
  }
  validation {
    condition     = alltrue([for shop in values(lookup(var.connectors, "oltp", {})) : can(regex("^[A-Z]{3}$", shop.settings.OLTP_CURRENCY))])
    error_message = <<-TEXT
      The settings of oltp must have OLTP_CURRENCY (ISO 4217), such as EUR: the database does not
      store the currency.
    TEXT
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : length(jsonencode(shop.settings)) <= 6000])])
    error_message = <<-TEXT
      The settings of a shop must have at most 6000 characters (ECS limits overrides to 8192). Of
      certificates, give only the signing authority.
    TEXT
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : shop.token_parameter == null || can(regex("^/[A-Za-z0-9_./-]+$", shop.token_parameter))])])
    error_message = <<-TEXT
      token_parameter must be a full name that begins with a slash, such as
      /shoplake-prod/connectors/pos/acme/token.
    TEXT
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : shop.schedule == null || can(regex("^(rate|cron)\\(.+\\)$", shop.schedule))])])
    error_message = <<-TEXT
      A schedule must be an expression of EventBridge Scheduler, such as cron(30 4 * * ? *).
    TEXT
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : can(regex("^(UTC|[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2})$", shop.time_zone))])])
    error_message = <<-TEXT
      A time zone must be UTC or an IANA name such as Europe/Berlin; abbreviations and offsets
      ignore clock changes.
    TEXT
  }
  validation {
    condition     = alltrue([for name, shops in var.connectors : alltrue([for shop in values(shops) : shop.refetch_days == null || try(name == "pos" && shop.refetch_days >= 0 && shop.refetch_days <= 31 && shop.refetch_days == floor(shop.refetch_days), false)])])
    error_message = "refetch_days must be a whole number of 0 to 31, for pos only."
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : shop.page_size >= 1 && shop.page_size == floor(shop.page_size)])])
    error_message = "page_size must be a whole number of at least 1."
  }
  validation {
    condition     = var.connector_image_tag != null || sum(concat([0], [for shops in values(var.connectors) : length(shops)])) == 0
    error_message = <<-TEXT
      Connectors need connector_image_tag: apply without connectors first, push the images to
      connector_repositories, then set their tag.
    TEXT
  }
}

variable "connector_services" {
  description = <<-TEXT
    Custom connectors that do not end, such as a reader of a change feed: name -> source (which
    defines its stream), environment, token_parameters, size of a task, and scaling: from min_tasks
    to max_tasks by target_cpu_percent. The image is in the repository
    shoplake-<environment>-<name>-connector with the tag connector_image_tag. Its tasks must
    coordinate by themselves. Connectors that end have schedules instead.
  TEXT
  type = map(object({
    source             = string
    environment        = optional(map(string), {})
    token_parameters   = optional(list(string), [])
    cpu                = optional(number, 256)
    memory_mb          = optional(number, 512)
    min_tasks          = optional(number, 1)
    max_tasks          = optional(number, 4)
    target_cpu_percent = optional(number, 60)
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.connector_services) : can(regex("^[a-z][a-z0-9-]{0,15}$", name)) && !contains(keys(local.known_connectors), name)])
    error_message = <<-TEXT
      A service's name must be 1 to 16 lower-case letters, digits and hyphens, and not the name of a
      scheduled connector.
    TEXT
  }
  validation {
    condition     = alltrue([for service in values(var.connector_services) : contains(local.sources, service.source)])
    error_message = "A service's source must be named by a contract, which defines its stream."
  }
  validation {
    condition     = alltrue([for service in values(var.connector_services) : service.min_tasks >= 0 && service.max_tasks >= max(1, service.min_tasks)])
    error_message = <<-TEXT
      A service needs min_tasks of 0 or more, and max_tasks of at least 1 and min_tasks.
    TEXT
  }
  validation {
    condition     = alltrue([for service in values(var.connector_services) : service.target_cpu_percent >= 10 && service.target_cpu_percent <= 90])
    error_message = "target_cpu_percent must be 10 to 90."
  }
  validation {
    condition     = var.connector_image_tag != null || length(var.connector_services) == 0
    error_message = <<-TEXT
      Services need connector_image_tag: apply without services first, push the images, then set
      their tag.
    TEXT
  }
}

variable "connector_image_tag" {
  description = <<-TEXT
    Tag of the connectors' images, printed by `make package`. Tags are immutable: each release has
    its own. Null before the first push: only repositories exist.
  TEXT
  type        = string
  default     = null

  validation {
    condition     = var.connector_image_tag == null || can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.connector_image_tag))
    error_message = "A tag is 1 to 128 letters, digits, underscores, dots and hyphens."
  }
}

variable "connector_size" {
  description = <<-TEXT
    CPU units (1/1024 vCPU) and memory of a connector task. It holds one page at a time, so
    Fargate's smallest size is enough.
  TEXT
  type = object({
    cpu       = optional(number, 256)
    memory_mb = optional(number, 512)
  })
  default = {}

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.connector_size.cpu) && var.connector_size.memory_mb >= 2 * var.connector_size.cpu && var.connector_size.memory_mb <= 8 * var.connector_size.cpu
    error_message = <<-TEXT
      Fargate has 256, 512, 1024, 2048 or 4096 CPU units, with 2 to 8 times as many MB of memory.
    TEXT
  }
}

variable "connector_capacity_provider" {
  description = <<-TEXT
    FARGATE, or FARGATE_SPOT for 70 percent less. AWS may stop a Spot task two minutes after a
    warning: an alert follows, and the task must be run again.
  TEXT
  type        = string
  default     = "FARGATE"

  validation {
    condition     = contains(["FARGATE", "FARGATE_SPOT"], var.connector_capacity_provider)
    error_message = "The capacity provider must be FARGATE or FARGATE_SPOT."
  }
}

variable "container_insights" {
  description = <<-TEXT
    Container Insights of the connectors' cluster: enabled, enhanced (per container) or disabled,
    which saves the costs of custom metrics. Failures are alerted in any case.
  TEXT
  type        = string
  default     = "enabled"

  validation {
    condition     = contains(["enabled", "enhanced", "disabled"], var.container_insights)
    error_message = "Container insights must be enabled, enhanced or disabled."
  }
}

# ---- warehouse -----------------------------------------------------------------------------------

variable "warehouse_capacity" {
  description = <<-TEXT
    Redshift processing units (RPU) of the created workgroup: the base capacity, and the maximum.
    Billed by the second while queries run, a minute at least.
  TEXT
  type = object({
    base_rpus = optional(number, 8)
    max_rpus  = optional(number, 32)
  })
  default = {}

  validation {
    condition = alltrue([
      for rpus in values(var.warehouse_capacity) : rpus == 4 || (rpus >= 8 && rpus <= 512 && rpus % 8 == 0) || (rpus > 512 && rpus <= 1024 && rpus % 32 == 0)
    ])
    error_message = "RPUs must be 4, 8 to 512 in steps of 8, or up to 1024 in steps of 32."
  }
  validation {
    condition     = var.warehouse_capacity.max_rpus >= var.warehouse_capacity.base_rpus
    error_message = "max_rpus must be at least base_rpus."
  }
}

variable "warehouse_usage_limits" {
  description = <<-TEXT
    At most four usage limits: RPU hours per daily, weekly or monthly period, and the action at the
    limit: log, emit-metric (CloudWatch), or deactivate, which rejects all queries, loads included,
    until the period ends. An alarm fires at 80 percent of each. The default alerts above a day of 8
    RPUs, the continuous load, and stops at a week of 16 RPUs.
  TEXT
  type = map(object({
    period    = string
    rpu_hours = number
    action    = string
  }))
  default = {
    daily  = { period = "daily", rpu_hours = 288, action = "emit-metric" }
    weekly = { period = "weekly", rpu_hours = 2688, action = "deactivate" }
  }

  validation {
    condition = alltrue([
      for limit in values(var.warehouse_usage_limits) :
      contains(["daily", "weekly", "monthly"], limit.period) && contains(["log", "emit-metric", "deactivate"], limit.action) && limit.rpu_hours >= 1
    ])
    error_message = <<-TEXT
      A limit needs a period (daily, weekly, monthly), at least 1 RPU hour, and an action (log,
      emit-metric, deactivate).
    TEXT
  }
  validation {
    condition     = length(var.warehouse_usage_limits) <= 4
    error_message = "Redshift allows at most four limits."
  }
}

variable "warehouse_client_cidrs" {
  description = <<-TEXT
    Networks from which BI tools may connect to the created workgroup, which has no public address:
    the VPC's own, or networks connected to it.
  TEXT
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.warehouse_client_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = <<-TEXT
      Each network must be a CIDR block such as 10.0.0.0/16, and not the whole internet.
    TEXT
  }
}

variable "warehouse_snapshot_days" {
  description = <<-TEXT
    Retention in days of daily snapshots of the created warehouse. Null for none: Redshift's
    recovery points cover 24 hours, and `reload` loads everything again from gold.
  TEXT
  type        = number
  default     = null

  validation {
    condition     = var.warehouse_snapshot_days == null || try(var.warehouse_snapshot_days >= 1 && var.warehouse_snapshot_days <= 3653 && var.warehouse_snapshot_days == floor(var.warehouse_snapshot_days), false)
    error_message = "warehouse_snapshot_days must be a whole number of 1 to 3653, or null for none."
  }
}

variable "warehouse_admin_password_days" {
  description = <<-TEXT
    Days after which Secrets Manager rotates the password of the created warehouse's admin.
  TEXT
  type        = number
  default     = 30

  validation {
    condition     = var.warehouse_admin_password_days >= 1 && var.warehouse_admin_password_days <= 1000 && var.warehouse_admin_password_days == floor(var.warehouse_admin_password_days)
    error_message = "warehouse_admin_password_days must be a whole number of 1 to 1000."
  }
}

# ---- catalog, queries, governance ----------------------------------------------------------------

variable "catalog_first_day" {
  description = <<-TEXT
    First day of the catalog's tables. The default is the first day that a contract accepts, for
    backfills. A later day makes queries without a condition on the day list fewer folders, and
    hides earlier days, which stay in the lake.
  TEXT
  type        = string
  default     = "2000-01-01"

  validation {
    condition     = can(formatdate("YYYY-MM-DD", "${var.catalog_first_day}T00:00:00Z"))
    error_message = "The first day must be a date such as 2000-01-01."
  }
}

variable "bronze_crawler" {
  description = <<-TEXT
    Whether a nightly crawler maintains tables of the fields that sources send (crawled_...) in the
    bronze database. Queries do not need it: all tables are declared.
  TEXT
  type        = bool
  default     = false
}

variable "athena" {
  description = <<-TEXT
    Days until a query's result is deleted, and the gigabytes that one query may read; 1000 GB cost
    5 USD.
  TEXT
  type = object({
    results_days   = optional(number, 7)
    max_scanned_gb = optional(number, 100)
  })
  default = {}

  validation {
    condition     = var.athena.results_days >= 1 && var.athena.results_days == floor(var.athena.results_days)
    error_message = "results_days must be a whole number of at least 1."
  }
  validation {
    condition     = var.athena.max_scanned_gb >= 1 && var.athena.max_scanned_gb <= 7168 && var.athena.max_scanned_gb == floor(var.athena.max_scanned_gb)
    error_message = "The limit must be a whole number of 1 to 7168 gigabytes."
  }
}

variable "lake_formation" {
  description = <<-TEXT
    Row permissions in Athena, Spark and Redshift Spectrum; null leaves them to IAM permissions on
    the bucket and the catalog.
    - admins: ARNs of Lake Formation's administrators, including the principal that applies this.
      They replace those of the account and region, unless manage_settings is false.
    - shop_readers: shop -> ARN of the role or user that reads only this shop's rows, in gold
      without intermediate models; with silver = true also in silver and intermediate models,
      without the columns with personal data.
    - lake_readers: ARNs of the readers of all shops, in gold and silver.
  TEXT
  type = object({
    admins          = list(string)
    manage_settings = optional(bool, true)
    shop_readers    = optional(map(string), {})
    lake_readers    = optional(list(string), [])
    silver          = optional(bool, false)
  })
  default = null

  validation {
    condition     = try(length(var.lake_formation.admins) > 0, true)
    error_message = <<-TEXT
      There must be at least one administrator, including the principal that applies this; otherwise
      permissions cannot be granted any more.
    TEXT
  }
  validation {
    condition     = alltrue([for shop in try(keys(var.lake_formation.shop_readers), []) : can(regex("^[a-z0-9][a-z0-9_-]{0,62}$", shop))])
    error_message = <<-TEXT
      A shop's id must be 1 to 63 lower-case letters, digits, hyphens and underscores, starting with
      a letter or a digit: it is part of a row filter.
    TEXT
  }
  validation {
    condition = alltrue([
      for arn in try(concat(var.lake_formation.admins, values(var.lake_formation.shop_readers), var.lake_formation.lake_readers), []) :
      can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", arn))
    ])
    error_message = <<-TEXT
      Principals must be ARNs of IAM roles or users, such as
      arn:aws:iam::123456789012:role/analysts.
    TEXT
  }
  validation {
    condition = length(setintersection(
      try(values(var.lake_formation.shop_readers), []), try(concat(var.lake_formation.lake_readers, var.lake_formation.admins), [])
    )) == 0
    error_message = <<-TEXT
      A reader of one shop must not be a reader of all shops or an administrator: grants add up, and
      it would read every row.
    TEXT
  }
  validation {
    condition     = length(distinct(try(values(var.lake_formation.shop_readers), []))) == length(try(values(var.lake_formation.shop_readers), []))
    error_message = <<-TEXT
      Each shop needs its own reader: grants add up, and a reader of two shops would read both in
      one table.
    TEXT
  }
}

# ---- data science --------------------------------------------------------------------------------

variable "notebook" {
  description = <<-TEXT
    A SageMaker notebook instance with the customers' features; null for none. It is billed by the
    hour while it runs (ml.t3.medium: about 0.05 USD): stop it after use. It reads the features from
    the lake; with queries = true it may also use Athena, which needs two interface endpoints (about
    16 USD a month) unless there is a NAT.
  TEXT
  type = object({
    instance_type = optional(string, "ml.t3.medium")
    volume_gb     = optional(number, 20)
    queries       = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.notebook == null || can(regex("^ml\\.[a-z0-9]+\\.[a-z0-9]+$", var.notebook.instance_type))
    error_message = "The instance type must be a SageMaker type, such as ml.t3.medium."
  }
  validation {
    condition     = var.notebook == null || try(var.notebook.volume_gb >= 5 && var.notebook.volume_gb <= 16384 && var.notebook.volume_gb == floor(var.notebook.volume_gb), false)
    error_message = "The volume must have a whole number of 5 to 16384 GB."
  }
}

# ---- BI ------------------------------------------------------------------------------------------

variable "warehouse_endpoint" {
  description = <<-TEXT
    Host and port of an existing warehouse (warehouse_workgroup), for the connection files of BI
    tools; null if unused. Those of a created warehouse are known.
  TEXT
  type = object({
    host = string
    port = optional(number, 5439)
  })
  default = null

  validation {
    condition     = var.warehouse_endpoint == null || can(regex("^[A-Za-z0-9.-]+$", var.warehouse_endpoint.host))
    error_message = <<-TEXT
      The host must be a name such as
      shoplake.123456789012.eu-central-1.redshift-serverless.amazonaws.com, without scheme and port.
    TEXT
  }
}
