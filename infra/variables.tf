# ---- where ---------------------------------------------------------------------------------------

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

variable "force_destroy" {
  description = "Whether destroying the environment deletes a lake that still has objects. False refuses, so that data goes only when somebody has emptied the bucket."
  type        = bool
  default     = false
}

variable "has_permissions_boundary" {
  description = "Whether every role has the permissions boundary shoplake-boundary-<environment>, which the bootstrap makes. Without it the deploy role of GitHub Actions is refused; only for an account that was never bootstrapped."
  type        = bool
  default     = true
}

# ---- what is deployed ----------------------------------------------------------------------------

variable "packages_dir" {
  description = "Folder of the functions' packages, built beforehand: webhook.zip, conform.zip, dispatch.zip, transform.zip, load.zip, notify.zip, control.zip; and catalog.json, which describes the lake's tables."
  type        = string

  validation {
    condition = alltrue([
      for name in ["webhook", "conform", "dispatch", "transform", "load", "notify", "control"] : fileexists("${var.packages_dir}/${name}.zip")
    ])
    error_message = "The packages folder must hold webhook.zip, conform.zip, dispatch.zip, transform.zip, load.zip, notify.zip and control.zip: build the packages first."
  }
  validation {
    condition     = var.local || fileexists("${var.packages_dir}/catalog.json")
    error_message = "The packages folder must hold catalog.json, which says what the lake's tables look like: `make package` writes it."
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
  description = "Processor that the functions' packages and the connectors' images were built for. The local cloud ignores it and runs the packages on the host's."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.lambda_architecture)
    error_message = "The architecture must be arm64 or x86_64."
  }
}

# ---- freshness, throughput, cost -----------------------------------------------------------------

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

variable "state_machine_log_data" {
  description = "Whether the log of executions holds their inputs and outputs as well, for the time of a search for a fault. They may hold rows of failed checks, and with them personal data."
  type        = bool
  default     = false
}

# ---- jobs too big for a function -----------------------------------------------------------------

variable "glue_above_mb" {
  description = "Megabytes of stored input above which a job runs with Spark on Glue and not in the function transform, which keeps its inputs in memory (of 3008 MB, half is for operators) and has 100 seconds. Without effect on the local cloud."
  type        = number
  default     = 256

  validation {
    condition     = var.glue_above_mb >= 1 && var.glue_above_mb <= 1024 && var.glue_above_mb == floor(var.glue_above_mb)
    error_message = "The threshold must be a whole number of 1 to 1024 megabytes: more than that does not fit into the function."
  }
}

variable "glue" {
  description = "How large and how long a run on Glue may become: workers (G.1X: 4 vCPU, 16 GB) up to which it scales, minutes after which it is ended, and runs at the same time, behind which others wait."
  type = object({
    workers         = optional(number, 10)
    timeout_minutes = optional(number, 60)
    concurrent_runs = optional(number, 3)
  })
  default = {}

  validation {
    condition     = var.glue.workers >= 2 && var.glue.workers <= 299 && var.glue.workers == floor(var.glue.workers)
    error_message = "A run has 2 (one drives, one works) to 299 workers."
  }
  validation {
    condition     = var.glue.timeout_minutes >= 5 && var.glue.timeout_minutes <= 60 && var.glue.timeout_minutes == floor(var.glue.timeout_minutes)
    error_message = "The timeout must be a whole number of 5 to 60 minutes: the state machine waits 75 for a run, which takes a while to begin."
  }
  validation {
    condition     = var.glue.concurrent_runs >= 1 && var.glue.concurrent_runs <= 50 && var.glue.concurrent_runs == floor(var.glue.concurrent_runs)
    error_message = "The runs at the same time must be a whole number of 1 to 50; AWS allows 50 per account unless asked for more."
  }
}

# ---- people and neighbours -----------------------------------------------------------------------

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

variable "warehouse_workgroup" {
  description = "An existing Redshift Serverless workgroup for load and control to talk to. Null creates one called shoplake-<environment> (on AWS)."
  type        = string
  default     = null
}

variable "warehouse_workgroup_arn" {
  description = "The existing workgroup's ARN, which names it by a generated id. Null, with warehouse_workgroup set, permits load and control every workgroup of the account and region."
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

# ---- edge ----------------------------------------------------------------------------------------

variable "waf" {
  description = "Whether a web ACL stands before the API (on AWS only; about 10 USD a month and 0.60 USD per million requests), and the requests that it takes of one address in five minutes: of all its shops together, and of each shop (default 10000, or requests_per_ip if that is less). Many shops behind one provider's address need more of the former."
  type = object({
    enabled           = optional(bool, true)
    requests_per_ip   = optional(number, 20000)
    requests_per_shop = optional(number)
  })
  default = {}

  validation {
    condition     = alltrue([for limit in [var.waf.requests_per_ip, coalesce(var.waf.requests_per_shop, 10000)] : limit >= 10 && limit <= 2000000000])
    error_message = "WAF counts 10 to 2,000,000,000 requests, per address and per shop."
  }
  validation {
    condition     = coalesce(var.waf.requests_per_shop, 10) <= var.waf.requests_per_ip
    error_message = "requests_per_shop must be at most requests_per_ip: an address cannot send more for one shop than for all."
  }
}

variable "api_key_required" {
  description = "Whether events are taken only with an API key, which is how API Gateway knows whose limits in shop_limits a request counts against. It proves nothing: the signature does."
  type        = bool
  default     = false
}

variable "shop_limits" {
  description = "Shop -> what it may send: requests per second (rate), at once (burst), and a quota of requests per DAY, WEEK or MONTH. Each shop gets an API key."
  type = map(object({
    rate  = number
    burst = number
    quota = optional(object({ requests = number, per = string }))
  }))
  default = {}

  validation {
    condition     = alltrue([for shop in keys(var.shop_limits) : can(regex("^[a-z0-9_-]{1,63}$", shop))])
    error_message = "A shop's id is 1 to 63 lower-case letters, digits, hyphens and underscores."
  }
  validation {
    condition     = alltrue([for limits in values(var.shop_limits) : limits.rate > 0 && limits.burst > 0])
    error_message = "Rate and burst of a shop must be above zero; a shop that is to send nothing gets its secret rotated instead."
  }
  validation {
    condition = alltrue([
      for limits in values(var.shop_limits) : limits.quota == null || try(limits.quota.requests > 0 && contains(["DAY", "WEEK", "MONTH"], limits.quota.per), false)
    ])
    error_message = "A quota is a number of requests above zero per DAY, WEEK or MONTH."
  }
  validation {
    condition     = var.api_key_required == (length(var.shop_limits) > 0)
    error_message = "Limits of shops and api_key_required go together: without keys nobody is counted, and without limits there is no key that anybody could send."
  }
}

variable "custom_domain" {
  description = "The API's own name, the ARN of its certificate (ACM, same region), the Route 53 zone to put it into (null: elsewhere, see the output custom_domain_target), and whether it becomes the only name. Null for the default name."
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
    error_message = "The certificate must be of ACM: arn:aws:acm:<region>:<account>:certificate/<id>."
  }
}

# ---- observability and cost ----------------------------------------------------------------------

variable "alarms" {
  description = "From where on somebody is told: lag_seconds that stream and delivery may be behind, kpi_seconds from an event's receipt to the warehouse (90 of 100), quarantine_percent and rejected_percent of a dataset's events, latency_seconds of the API (99 of 100)."
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
    error_message = "Every limit must be above zero, or its alarm never ends."
  }
  validation {
    condition     = var.alarms.quarantine_percent <= 100 && var.alarms.rejected_percent <= 100
    error_message = "A share is at most 100 percent."
  }
}

variable "monthly_budget" {
  description = "US dollars a month, of which 80 and 100 percent spent, or expected to be, are reported to the alerts topic and these addresses. Only this environment is counted once the cost allocation tag Environment is active in the account's billing. Null for none."
  type = object({
    usd                   = number
    emails                = optional(list(string), [])
    only_this_environment = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.monthly_budget == null || try(var.monthly_budget.usd > 0, false)
    error_message = "A budget is above zero dollars."
  }
}

variable "tags" {
  description = "Tags of every resource, beside Project, Environment and ManagedBy."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.tags) : !startswith(lower(name), "aws:") && !contains(["Project", "Environment", "ManagedBy"], name)])
    error_message = "AWS keeps names that begin with aws: to itself, and Project, Environment and ManagedBy are set already."
  }
}

# ---- network -------------------------------------------------------------------------------------

variable "vpc_cidr" {
  description = "Addresses of the VPC. They must not overlap with networks that it is to be connected to."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(16|17|18|19|20)$", var.vpc_cidr))
    error_message = "The VPC's addresses must be a CIDR block of /16 to /20, such as 10.42.0.0/16; the warehouse's subnets need room."
  }
}

variable "availability_zones" {
  description = "Zones of the subnets, of which the first three are used; null for the first three of the region. Redshift Serverless wants three."
  type        = list(string)
  default     = null

  validation {
    condition     = var.availability_zones == null || try(length(distinct(var.availability_zones)) >= 2, false)
    error_message = "There must be at least two different zones, three for a warehouse, such as [\"eu-central-1a\", \"eu-central-1b\", \"eu-central-1c\"]."
  }
}

variable "connector_egress" {
  description = <<-TEXT
    How connectors reach the APIs that they poll.
    public_ip (default): tasks run in public subnets, each with an address of its own while it runs, and nothing may come in. 0.005 USD per
    address and hour: cents a month for tasks of some minutes.
    private: no way to the internet; APIs are reached by peering, Transit Gateway or PrivateLink (connector_networks), AWS by interface
    endpoints: 5 of them at about 0.01 USD per zone and hour, 36 USD a month in one zone.
    nat: private subnets behind a NAT gateway with a fixed address, for vendors that let in known addresses only. About 0.045 USD an hour,
    33 USD a month in us-east-1, and 0.045 USD per GB, whether or not anything runs: 99 of 100 hours it would wait for a task, which is why it is not the default.
  TEXT
  type        = string
  default     = "public_ip"

  validation {
    condition     = contains(["private", "public_ip", "nat"], var.connector_egress)
    error_message = "The way out must be private, public_ip or nat."
  }
}

variable "connector_networks" {
  description = "Networks of the APIs that connectors reach without the internet, with connector_egress = private; a route to them has to be added to the private route table."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.connector_networks : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Each network must be a CIDR block such as 10.0.0.0/16, and not the whole internet."
  }
}

variable "interface_endpoint_zones" {
  description = "In how many zones each interface endpoint is, with connector_egress = private. Each is billed; while the only one's zone is down, tasks fail and are run again later."
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
    Connector (pos, inventory, oltp) -> shop -> its API or database: base_url; token_parameter, the SecureString with its token or password (default
    /shoplake-<environment>/connectors/<connector>/<shop>/token); schedule (default 04:30 for pos, the fifth minute of each hour for inventory,
    03:30 for oltp), by the clock of time_zone; time_zone, the IANA name of the shop's time zone, such as America/Los_Angeles (default UTC);
    refetch_days, how many of the last days a run of pos fetches again, for tills that deliver late (default: the connector's own); page_size;
    settings, further variables of the connector's README; enabled. A run of pos fetches yesterday by the shop's clock, of inventory the last full
    hour: leave 45 minutes of the hour for it. The base_url of oltp is postgres://<user>@<host>/<database>, and its settings have OLTP_CURRENCY.
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
    error_message = "There are the connectors ${join(", ", keys(local.known_connectors))}."
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in keys(shops) : can(regex("^[a-z0-9][a-z0-9_-]{0,62}$", shop))])])
    error_message = "A shop's id is 1 to 63 lower-case letters, digits, hyphens and underscores, the first a letter or a digit."
  }
  validation {
    condition     = alltrue([for name, shops in var.connectors : name == "oltp" || alltrue([for shop in values(shops) : can(regex("^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[^?#]*)?$", shop.base_url))])])
    error_message = "A base URL must be https, such as https://pos.example.com: a token goes with every request. It has no query."
  }
  validation {
    condition     = alltrue([for shop in values(lookup(var.connectors, "oltp", {})) : can(regex("^postgres(ql)?://[^/:@?#]+@[A-Za-z0-9.-]+(:[0-9]+)?/[^/?#]+$", shop.base_url))])
    error_message = "The base URL of a database must be postgres://<user>@<host>:<port>/<database>: always by TLS, and the password is in token_parameter."
  }
  validation {
    condition     = alltrue([for shop in values(lookup(var.connectors, "oltp", {})) : can(regex("^[A-Z]{3}$", shop.settings.OLTP_CURRENCY))])
    error_message = "The settings of oltp must have OLTP_CURRENCY, ISO 4217, such as EUR: amounts in a database do not say what they are amounts of."
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : length(jsonencode(shop.settings)) <= 6000])])
    error_message = "ECS takes 8192 characters of overrides, so the settings of a shop may have 6000. Of certificates, name only the authority that signs."
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : shop.token_parameter == null || can(regex("^/[A-Za-z0-9_./-]+$", shop.token_parameter))])])
    error_message = "A token's parameter must be a full name that begins with a slash, such as /shoplake-prod/connectors/pos/acme/token."
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : shop.schedule == null || can(regex("^(rate|cron)\\(.+\\)$", shop.schedule))])])
    error_message = "A schedule must be an expression of EventBridge Scheduler, such as cron(30 4 * * ? *)."
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : can(regex("^(UTC|[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2})$", shop.time_zone))])])
    error_message = "A time zone must be UTC or an IANA name such as Europe/Berlin: an abbreviation or an offset does not know when clocks change."
  }
  validation {
    condition     = alltrue([for name, shops in var.connectors : alltrue([for shop in values(shops) : shop.refetch_days == null || try(name == "pos" && shop.refetch_days >= 0 && shop.refetch_days <= 31 && shop.refetch_days == floor(shop.refetch_days), false)])])
    error_message = "refetch_days is a whole number of 0 to 31, and only for pos: the other connectors fetch no days."
  }
  validation {
    condition     = alltrue([for shops in values(var.connectors) : alltrue([for shop in values(shops) : shop.page_size >= 1 && shop.page_size == floor(shop.page_size)])])
    error_message = "A page has a whole number of rows, at least 1."
  }
  validation {
    condition     = var.connector_image_tag != null || sum(concat([0], [for shops in values(var.connectors) : length(shops)])) == 0
    error_message = "Connectors of shops need connector_image_tag: apply without connectors first, push the images to connector_repositories, then name their tag."
  }
}

variable "connector_services" {
  description = <<-TEXT
    Connectors of your own that do not end, such as a reader of a change feed: name -> source (whose stream it puts to), environment and
    token_parameters, size of a task, and how many tasks: as many as keep their processors at target_cpu_percent, from min_tasks to max_tasks.
    Its image is pushed to the repository <environment's prefix>-<name>-connector under connector_image_tag; what it must be able to share among
    several tasks is its own business. Connectors that end have schedules instead.
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
    error_message = "A service's name is 1 to 16 lower-case letters, digits and hyphens, and not that of a connector with schedules."
  }
  validation {
    condition     = alltrue([for service in values(var.connector_services) : contains(local.sources, service.source)])
    error_message = "A service's source must be one that a contract names: its stream comes from there."
  }
  validation {
    condition     = alltrue([for service in values(var.connector_services) : service.min_tasks >= 0 && service.max_tasks >= max(1, service.min_tasks)])
    error_message = "A service has at least min_tasks (0 or more) and at most max_tasks (1 or more)."
  }
  validation {
    condition     = alltrue([for service in values(var.connector_services) : service.target_cpu_percent >= 10 && service.target_cpu_percent <= 90])
    error_message = "The processors' target is 10 to 90 percent."
  }
  validation {
    condition     = var.connector_image_tag != null || length(var.connector_services) == 0
    error_message = "Services need connector_image_tag: apply without them first, push the images, then name their tag."
  }
}

variable "connector_image_tag" {
  description = "Tag of the connectors' images, which `make package` prints. A tag is never overwritten, so each release has its own. Null while no image has been pushed: there are repositories then, and nothing runs."
  type        = string
  default     = null

  validation {
    condition     = var.connector_image_tag == null || can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.connector_image_tag))
    error_message = "A tag is 1 to 128 letters, digits, underscores, dots and hyphens."
  }
}

variable "connector_size" {
  description = "A connector task's processor (1/1024 of one) and memory. It holds one page at a time, so the smallest of Fargate does."
  type = object({
    cpu       = optional(number, 256)
    memory_mb = optional(number, 512)
  })
  default = {}

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.connector_size.cpu) && var.connector_size.memory_mb >= 2 * var.connector_size.cpu && var.connector_size.memory_mb <= 8 * var.connector_size.cpu
    error_message = "Fargate has 256, 512, 1024, 2048 or 4096 units of processor, with 2 to 8 times as many MB of memory."
  }
}

variable "connector_capacity_provider" {
  description = "FARGATE, or FARGATE_SPOT for 70 percent less: AWS may take a task away after two minutes' notice. It is reported and has to be run again; what it had done it does not do twice."
  type        = string
  default     = "FARGATE"

  validation {
    condition     = contains(["FARGATE", "FARGATE_SPOT"], var.connector_capacity_provider)
    error_message = "The capacity provider must be FARGATE or FARGATE_SPOT."
  }
}

variable "container_insights" {
  description = "CloudWatch's metrics of the connectors' cluster: enabled, enhanced (per container), or disabled, which saves the custom metrics' price. Failures are reported in any case."
  type        = string
  default     = "enabled"

  validation {
    condition     = contains(["enabled", "enhanced", "disabled"], var.container_insights)
    error_message = "Container insights must be enabled, enhanced or disabled."
  }
}

# ---- warehouse -----------------------------------------------------------------------------------

variable "warehouse_capacity" {
  description = "Redshift processing units (RPU) of the created workgroup: what a query finds at once, and what Redshift may scale to. Billed by the second, a minute at least, while queries run."
  type = object({
    base_rpus = optional(number, 8)
    max_rpus  = optional(number, 32)
  })
  default = {}

  validation {
    condition = alltrue([
      for rpus in values(var.warehouse_capacity) : rpus == 4 || (rpus >= 8 && rpus <= 512 && rpus % 8 == 0) || (rpus > 512 && rpus <= 1024 && rpus % 32 == 0)
    ])
    error_message = "RPUs come as 4, as 8 to 512 by eights, or up to 1024 by 32."
  }
  validation {
    condition     = var.warehouse_capacity.max_rpus >= var.warehouse_capacity.base_rpus
    error_message = "The most must not be less than the base."
  }
}

variable "warehouse_usage_limits" {
  description = "At most four limits of RPU hours per daily, weekly or monthly period, and the action beyond: log, emit-metric (CloudWatch), or deactivate, which ends all queries, loads included, until the period is over. An alarm rings at 80 percent of each. By default that is above a day of 8 RPUs, which steady loads use, and a week of 16 RPUs stops a runaway."
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
    error_message = "A limit has a period (daily, weekly, monthly), at least 1 RPU hour, and an action (log, emit-metric, deactivate)."
  }
  validation {
    condition     = length(var.warehouse_usage_limits) <= 4
    error_message = "Redshift takes at most four limits."
  }
}

variable "warehouse_client_cidrs" {
  description = "Networks from which BI tools may connect to the created workgroup, which has no public address: the VPC's own, or ones connected to it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.warehouse_client_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Each network must be a CIDR block such as 10.0.0.0/16, and not the whole internet."
  }
}

variable "warehouse_snapshot_days" {
  description = "Days that daily snapshots of the created warehouse are kept. Null for none: Redshift's own recovery points reach back 24 hours, and `reload` loads everything again from gold."
  type        = number
  default     = null

  validation {
    condition     = var.warehouse_snapshot_days == null || try(var.warehouse_snapshot_days >= 1 && var.warehouse_snapshot_days <= 3653 && var.warehouse_snapshot_days == floor(var.warehouse_snapshot_days), false)
    error_message = "Snapshots are kept a whole number of 1 to 3653 days, or null for none."
  }
}

variable "warehouse_admin_password_days" {
  description = "Days after which Secrets Manager replaces the password of the created warehouse's admin."
  type        = number
  default     = 30

  validation {
    condition     = var.warehouse_admin_password_days >= 1 && var.warehouse_admin_password_days <= 1000 && var.warehouse_admin_password_days == floor(var.warehouse_admin_password_days)
    error_message = "The password is replaced every 1 to 1000 days."
  }
}

# ---- catalog, queries, governance ----------------------------------------------------------------

variable "catalog_first_day" {
  description = "First day that the catalog's tables show. The default is the first day that a contract accepts, which a backfill may reach. A later one makes fewer folders for a query without a condition on the day to list, and hides the days before it, which stay in the lake."
  type        = string
  default     = "2000-01-01"

  validation {
    condition     = can(formatdate("YYYY-MM-DD", "${var.catalog_first_day}T00:00:00Z"))
    error_message = "The first day must be a day such as 2000-01-01."
  }
}

variable "bronze_crawler" {
  description = "Whether a crawler looks every night which fields sources send, and keeps tables of it (crawled_...) in the bronze database. Queries need none: all tables are declared."
  type        = bool
  default     = false
}

variable "athena" {
  description = "Days until a query's result is deleted, and how many gigabytes one query may read before it is cancelled: 5 USD are a thousand of them."
  type = object({
    results_days   = optional(number, 7)
    max_scanned_gb = optional(number, 100)
  })
  default = {}

  validation {
    condition     = var.athena.results_days >= 1 && var.athena.results_days == floor(var.athena.results_days)
    error_message = "Results are kept a whole number of days, at least 1."
  }
  validation {
    condition     = var.athena.max_scanned_gb >= 1 && var.athena.max_scanned_gb <= 7168 && var.athena.max_scanned_gb == floor(var.athena.max_scanned_gb)
    error_message = "The limit must be a whole number of 1 to 7168 gigabytes."
  }
}

variable "lake_formation" {
  description = <<-TEXT
    Who sees which rows in Athena, Spark and Redshift Spectrum; null for whoever has IAM permissions on the bucket and the catalog.
    admins: ARNs of Lake Formation's administrators, which must include whoever applies this. They replace those of the whole account and
    region; with manage_settings = false that is left to somebody else.
    shop_readers: a shop's id -> ARN of the role or user that sees the rows of this shop only, in gold, and with silver = true in silver as well,
    there without the columns that hold personal data.
    lake_readers: ARNs of those who see all shops, in gold and silver.
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
    error_message = "There must be at least one administrator, whoever applies this among them, or nobody could grant anything any more."
  }
  validation {
    condition     = alltrue([for shop in try(keys(var.lake_formation.shop_readers), []) : can(regex("^[a-z0-9][a-z0-9_-]{0,62}$", shop))])
    error_message = "A shop's id is 1 to 63 lower-case letters, digits, hyphens and underscores, the first a letter or a digit: it becomes part of a row filter."
  }
  validation {
    condition = alltrue([
      for arn in try(concat(var.lake_formation.admins, values(var.lake_formation.shop_readers), var.lake_formation.lake_readers), []) :
      can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", arn))
    ])
    error_message = "Principals are ARNs of IAM roles or users, such as arn:aws:iam::123456789012:role/analysts."
  }
  validation {
    condition = length(setintersection(
      try(values(var.lake_formation.shop_readers), []), try(concat(var.lake_formation.lake_readers, var.lake_formation.admins), [])
    )) == 0
    error_message = "A reader of one shop must be neither a reader of all shops nor an administrator: grants add up, and it would see every row."
  }
  validation {
    condition     = length(distinct(try(values(var.lake_formation.shop_readers), []))) == length(try(values(var.lake_formation.shop_readers), []))
    error_message = "Each shop needs a reader of its own: grants add up, and one reader of two shops would see both in one table."
  }
}

# ---- data science --------------------------------------------------------------------------------

variable "notebook" {
  description = <<-TEXT
    A SageMaker notebook instance over the customers' features; null for none. It is billed by the hour while it runs (ml.t3.medium: about
    0.05 USD): stop it after work. It reads the features from the lake itself; with queries = true it may also ask Athena, for which it needs
    two interface endpoints (about 16 USD a month), unless there is a NAT.
  TEXT
  type = object({
    instance_type = optional(string, "ml.t3.medium")
    volume_gb     = optional(number, 20)
    queries       = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.notebook == null || can(regex("^ml\\.[a-z0-9]+\\.[a-z0-9]+$", var.notebook.instance_type))
    error_message = "The instance type must be one of SageMaker's, such as ml.t3.medium."
  }
  validation {
    condition     = var.notebook == null || try(var.notebook.volume_gb >= 5 && var.notebook.volume_gb <= 16384 && var.notebook.volume_gb == floor(var.notebook.volume_gb), false)
    error_message = "The volume must have a whole number of 5 to 16384 GB."
  }
}

# ---- BI ------------------------------------------------------------------------------------------

variable "warehouse_endpoint" {
  description = "Host and port of a warehouse that was brought along (warehouse_workgroup), for the connection files of BI tools only; null if nobody needs them. Of a created one they are known."
  type = object({
    host = string
    port = optional(number, 5439)
  })
  default = null

  validation {
    condition     = var.warehouse_endpoint == null || can(regex("^[A-Za-z0-9.-]+$", var.warehouse_endpoint.host))
    error_message = "The host must be a name such as shoplake.123456789012.eu-central-1.redshift-serverless.amazonaws.com, without scheme and port."
  }
}
