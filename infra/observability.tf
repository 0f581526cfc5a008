# What is watched, and for whom. An alarm and its graph come from one entry of local.watches; what an alarm means and what to
# do says RUNBOOK.md, one section for each entry (tests/infra/test_runbook.py compares them).

locals {
  watched_functions = {
    webhook   = module.webhook
    conform   = module.conform
    dispatch  = module.dispatch
    transform = module.transform
    load      = module.load
    notify    = module.notify
    control   = module.control
  }
  watched_machines = merge(
    { bronze-to-silver = module.bronze_to_silver.arn, silver-to-gold = module.silver_to_gold.arn },
    { for machine in module.silver_to_gold_glue : "silver-to-gold-glue" => machine.arn },
  )
  watched_letters = merge(
    { dirty = module.dirty_queue.dead_letters_arn, conform = module.conform_failed.arn },
    { for queue in module.schedules_dead_letters : "schedules" => queue.arn },
    { for queue in module.control_failed : "control" => queue.arn },
  )
  watched_rules = merge(module.dirty_queue.rules, { check-freshness = { name = aws_cloudwatch_event_rule.freshness.name, bus = "default" } })
  watched_usage = merge([for warehouse in module.warehouse : warehouse.usage_limit_ids]...)

  # Datasets that somebody sends; the others describe what was sent.
  sent_datasets     = [for name, dataset in local.datasets : name if dataset.delivery != "internal"]
  streamed_datasets = [for name, dataset in local.datasets : name if dataset.delivery == "stream" && try(dataset.parent, null) == null]

  api_dimensions = { ApiName = module.api.name, Stage = module.api.stage }
}

# ---- what wakes somebody --------------------------------------------------------------------------------------------

locals {
  ingest_watches = {
    api-errors = {
      area      = "ingest"
      title     = "API: requests answered 5xx (%)"
      says      = "More than 1 % of the requests were answered with a 5xx: senders are told to try again."
      threshold = 1
      periods   = 3
      of        = 5
      series = { "" = {
        # One failure of three requests at night is no outage.
        math = "IF(requests >= 20, 100 * errors / requests, 0)"
        metrics = {
          errors   = { namespace = "AWS/ApiGateway", name = "5XXError", stat = "Sum", dimensions = local.api_dimensions }
          requests = { namespace = "AWS/ApiGateway", name = "Count", stat = "Sum", dimensions = local.api_dimensions }
        }
      } }
    }
    api-latency = {
      area      = "ingest"
      title     = "API: latency of 99 in 100 requests (ms)"
      says      = "One request in a hundred takes longer than ${var.alarms.latency_seconds} s."
      threshold = 1000 * var.alarms.latency_seconds
      periods   = 3
      of        = 3
      series = { "" = { math = null, metrics = {
        latency = { namespace = "AWS/ApiGateway", name = "Latency", stat = "p99", dimensions = local.api_dimensions }
      } } }
    }
    rejected-events = {
      area           = "ingest"
      title          = "Events refused by their contract (%)"
      says           = "More than ${var.alarms.rejected_percent} % of a dataset's events break their contract: a sender has changed something, or a contract has."
      threshold      = var.alarms.rejected_percent
      period_seconds = 900
      periods        = 2
      of             = 2
      series = { for dataset in local.streamed_datasets : dataset => {
        math = "IF(received >= 100, 100 * rejected / received, 0)"
        metrics = {
          rejected = { namespace = "Shoplake", name = "rejected_events_count", stat = "Sum", dimensions = { function = module.webhook.name, dataset = dataset } }
          received = { namespace = "Shoplake", name = "received_events_count", stat = "Sum", dimensions = { function = module.webhook.name, dataset = dataset } }
        }
      } }
    }
    stream-throttled = {
      area           = "ingest"
      title          = "Streams: records refused for throughput"
      says           = "The stream takes fewer records than come: senders are slowed down."
      threshold      = 0
      period_seconds = 60
      periods        = 5
      of             = 10
      series = { for source in local.sources : source => { math = null, metrics = {
        refused = { namespace = "AWS/Kinesis", name = "WriteProvisionedThroughputExceeded", stat = "Sum", dimensions = { StreamName = module.source[source].stream_name } }
      } } }
    }
    delivery-lag = {
      area      = "ingest"
      title     = "Bronze: delivery behind its stream (ms)"
      says      = "Firehose reads its stream more than ${var.alarms.lag_seconds} s late."
      threshold = 1000 * var.alarms.lag_seconds
      periods   = 2
      of        = 3
      series = { for source in local.sources : source => { math = null, metrics = {
        behind = { namespace = "AWS/Firehose", name = "KinesisMillisBehindLatest", stat = "Maximum", dimensions = { DeliveryStreamName = module.source[source].stream_name } }
      } } }
    }
    delivery-stale = {
      area      = "ingest"
      title     = "Bronze: age of what is not delivered yet (s)"
      says      = "Firehose holds records for longer than its buffer should: they do not get into bronze."
      threshold = var.firehose_buffer_seconds + var.alarms.lag_seconds
      periods   = 2
      of        = 3
      series = { for source in local.sources : source => { math = null, metrics = {
        age = { namespace = "AWS/Firehose", name = "DeliveryToS3.DataFreshness", stat = "Maximum", dimensions = { DeliveryStreamName = module.source[source].stream_name } }
      } } }
    }
  }

  waf_watches = { for acl in module.waf : "waf-blocks" => {
    area      = "ingest"
    title     = "Web ACL: requests refused"
    says      = "The web ACL refuses many requests: somebody floods or probes the API, or a rule refuses good events."
    threshold = 1000
    periods   = 2
    of        = 3
    series = { "" = { math = null, metrics = {
      blocked = { namespace = "AWS/WAFV2", name = "BlockedRequests", stat = "Sum", dimensions = { WebACL = acl.name, Rule = "ALL", Region = var.region } }
    } } }
  } }

  conform_watches = {
    conform-lag = {
      area      = "conform"
      title     = "Streams: age of the records that conform reads (ms)"
      says      = "conform reads records that are older than ${var.alarms.lag_seconds} s: it is too slow, or goes round and round on a batch."
      threshold = 1000 * var.alarms.lag_seconds
      periods   = 2
      of        = 3
      # Lambda tells the oldest of all mappings, not which it is.
      series = { "" = { math = null, metrics = {
        age = { namespace = "AWS/Lambda", name = "IteratorAge", stat = "Maximum", dimensions = { FunctionName = module.conform.name } }
      } } }
    }
    quarantine-rate = {
      area           = "quality"
      title          = "Lines set aside in quarantine (%)"
      says           = "More than ${var.alarms.quarantine_percent} % of a dataset's lines break their contract and are in quarantine."
      threshold      = var.alarms.quarantine_percent
      period_seconds = 900
      series = { for dataset in local.sent_datasets : dataset => {
        math = "IF(received >= 20, 100 * quarantined / received, 0)"
        metrics = {
          quarantined = { namespace = "Shoplake", name = "quarantined_lines_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
          received    = { namespace = "Shoplake", name = "received_events_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
        }
      } }
    }
    unknown-lines = {
      area           = "quality"
      title          = "Lines of no dataset"
      says           = "Lines that name no dataset are in quarantine: something writes to a stream that is no part of Shoplake, or is of another version."
      threshold      = 0
      period_seconds = 900
      series = { "" = { math = null, metrics = {
        lines = { namespace = "Shoplake", name = "quarantined_lines_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = "_unknown" } }
      } } }
    }
  }

  function_watches = {
    function-errors = {
      area      = "orchestration"
      title     = "Functions: failed invocations"
      says      = "Invocations of a function keep failing. What passes by itself is retried and does not get this far."
      threshold = 0
      periods   = 3
      of        = 4
      series = { for name, function in local.watched_functions : name => { math = null, metrics = {
        errors = { namespace = "AWS/Lambda", name = "Errors", stat = "Sum", dimensions = { FunctionName = function.name } }
      } } }
    }
    function-throttles = {
      area      = "orchestration"
      title     = "Functions: invocations that found no room"
      says      = "Lambda does not let the function run as often at once as it is called: the account's concurrency is used up."
      threshold = 0
      periods   = 3
      of        = 3
      series = { for name, function in local.watched_functions : name => { math = null, metrics = {
        throttles = { namespace = "AWS/Lambda", name = "Throttles", stat = "Sum", dimensions = { FunctionName = function.name } }
      } } }
    }
    function-slow = {
      area      = "orchestration"
      title     = "Functions: longest duration (% of the timeout)"
      says      = "The function takes more than 80 % of the time after which Lambda ends it."
      threshold = 80
      periods   = 2
      of        = 3
      series = { for name, function in local.watched_functions : name => {
        math = "duration / ${10 * function.timeout_seconds}"
        metrics = {
          duration = { namespace = "AWS/Lambda", name = "Duration", stat = "Maximum", dimensions = { FunctionName = function.name } }
        }
      } }
    }
  }

  orchestration_watches = {
    dead-letters = {
      area      = "orchestration"
      title     = "Dead letters"
      says      = "Something was given up after all retries, and waits here to be done again."
      threshold = 0
      series = { for name, arn in local.watched_letters : name => { math = null, metrics = {
        letters = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = element(split(":", arn), 5) } }
      } } }
    }
    marks-waiting = {
      area      = "orchestration"
      title     = "Dirty marks: age of the oldest (s)"
      says      = "Partitions have been marked dirty for more than a quarter of an hour, and nobody computes them."
      threshold = 900
      periods   = 2
      of        = 3
      series = { "" = { math = null, metrics = {
        age = { namespace = "AWS/SQS", name = "ApproximateAgeOfOldestMessage", stat = "Maximum", dimensions = { QueueName = element(split(":", module.dirty_queue.arn), 5) } }
      } } }
    }
    executions-failed = {
      area      = "orchestration"
      title     = "Executions that failed"
      says      = "An execution failed, timed out or was stopped; where it could, it has sent an alert that says why."
      threshold = 0
      series = { for name, arn in local.watched_machines : name => {
        math = "failed + timedout + aborted"
        metrics = {
          failed   = { namespace = "AWS/States", name = "ExecutionsFailed", stat = "Sum", dimensions = { StateMachineArn = arn } }
          timedout = { namespace = "AWS/States", name = "ExecutionsTimedOut", stat = "Sum", dimensions = { StateMachineArn = arn } }
          aborted  = { namespace = "AWS/States", name = "ExecutionsAborted", stat = "Sum", dimensions = { StateMachineArn = arn } }
        }
      } }
    }
    events-undelivered = {
      area      = "orchestration"
      title     = "Events that a rule could not deliver"
      says      = "EventBridge could not hand an event to its target."
      threshold = 0
      series = { for name, rule in local.watched_rules : name => { math = null, metrics = {
        failed = {
          namespace  = "AWS/Events"
          name       = "FailedInvocations"
          stat       = "Sum"
          dimensions = merge({ RuleName = rule.name }, rule.bus == "default" ? {} : { EventBusName = rule.bus })
        }
      } } }
    }
  }

  kpi_watches = {
    kpi-latency = {
      area      = "quality"
      title     = "From event to KPI, 90 of 100 loads (s)"
      says      = "Events take longer than ${var.alarms.kpi_seconds} s from their receipt to the warehouse."
      threshold = var.alarms.kpi_seconds
      periods   = 3
      of        = 3
      series = { "" = { math = null, metrics = {
        way = { namespace = "Shoplake", name = "event_to_kpi_seconds", stat = "p90", dimensions = { function = module.load.name } }
      } } }
    }
    freshness-unwatched = {
      area           = "quality"
      title          = "Datasets that were looked at for whether they arrive"
      says           = "Nobody looks whether datasets still arrive: the check has not run to its end for two hours."
      threshold      = 1
      below          = true
      period_seconds = 3600
      periods        = 2
      of             = 2
      missing        = "breaching" # That it stays away is what this is about.
      series = { "" = { math = null, metrics = {
        looks = { namespace = "Shoplake", name = "watched_datasets_count", stat = "SampleCount", dimensions = { function = module.control.name } }
      } } }
    }
  }

  warehouse_watches = length(local.watched_usage) == 0 ? {} : {
    warehouse-usage = {
      area      = "warehouse"
      title     = "Warehouse: used of its limits (%)"
      says      = "More than 80 % of the compute that the warehouse may use in this period is used; beyond the limit it may stop."
      threshold = 80
      # Redshift tells it while it computes only; until then nothing has changed.
      missing = "ignore"
      series = { for name, id in local.watched_usage : name => {
        math = "100 * used / (used + left)"
        metrics = {
          used = { namespace = "AWS/Redshift-Serverless", name = "UsageLimitConsumed", stat = "Maximum", dimensions = { UsageLimitId = id, UsageType = "SERVERLESS_COMPUTE", Workgroup = local.warehouse_workgroup } }
          left = { namespace = "AWS/Redshift-Serverless", name = "UsageLimitAvailable", stat = "Minimum", dimensions = { UsageLimitId = id, UsageType = "SERVERLESS_COMPUTE", Workgroup = local.warehouse_workgroup } }
        }
      } }
    }
  }
}

module "alarms" {
  source = "./modules/alarms"
  count  = local.aws ? 1 : 0

  prefix    = local.prefix
  topic_arn = module.alerts.topic_arn
  watches = merge(
    local.ingest_watches, local.waf_watches, local.conform_watches, local.function_watches, local.orchestration_watches,
    local.kpi_watches, local.warehouse_watches,
  )
}

# ---- what somebody looks at -----------------------------------------------------------------------------------------

locals {
  areas = [
    { name = "ingest", title = "Ingest: from a POST or a poll to stream and bronze" },
    { name = "conform", title = "Conform: from stream and bronze to silver" },
    { name = "orchestration", title = "Orchestration: from silver to gold" },
    { name = "warehouse", title = "Warehouse" },
    { name = "quality", title = "Data quality" },
    { name = "cost", title = "What costs" },
  ]

  # A search looks for words, and takes a name with hyphens for several.
  prefix_words = replace(local.prefix, "-", " ")

  # What is worth a look without being worth an alarm.
  graphs = [
    {
      area   = "ingest", title = "API: requests", stacked = true, period_seconds = 300
      series = { "" = { math = null, metrics = { requests = { namespace = "AWS/ApiGateway", name = "Count", stat = "Sum", dimensions = local.api_dimensions } } } }
    },
    {
      area = "ingest", title = "Events accepted", stacked = true, period_seconds = 300
      series = { for dataset in local.streamed_datasets : dataset => { math = null, metrics = {
        accepted = { namespace = "Shoplake", name = "accepted_events_count", stat = "Sum", dimensions = { function = module.webhook.name, dataset = dataset } }
      } } }
    },
    {
      area = "ingest", title = "Requests refused unread", stacked = true, period_seconds = 300
      series = { for dataset in local.streamed_datasets : dataset => { math = null, metrics = {
        refused = { namespace = "Shoplake", name = "rejected_requests_count", stat = "Sum", dimensions = { function = module.webhook.name, dataset = dataset } }
      } } }
    },
    {
      area = "conform", title = "Silver: rows written", stacked = true, period_seconds = 300
      series = { for dataset in local.sent_datasets : dataset => { math = null, metrics = {
        rows = { namespace = "Shoplake", name = "written_silver_rows_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
      } } }
    },
    {
      area = "conform", title = "Silver: bytes written", stacked = true, period_seconds = 300
      series = { for dataset in local.sent_datasets : dataset => { math = null, metrics = {
        bytes = { namespace = "Shoplake", name = "written_parquet_bytes", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
      } } }
    },
    {
      area = "orchestration", title = "Executions started", stacked = true, period_seconds = 300
      series = { for name, arn in local.watched_machines : name => { math = null, metrics = {
        started = { namespace = "AWS/States", name = "ExecutionsStarted", stat = "Sum", dimensions = { StateMachineArn = arn } }
      } } }
    },
    {
      area = "orchestration", title = "Executions: 90 of 100 take (ms)", stacked = false, period_seconds = 300
      series = { for name, arn in local.watched_machines : name => { math = null, metrics = {
        time = { namespace = "AWS/States", name = "ExecutionTime", stat = "p90", dimensions = { StateMachineArn = arn } }
      } } }
    },
    {
      area = "orchestration", title = "Dirty marks waiting", stacked = false, period_seconds = 300
      series = { for state, name in { "to be planned" = "ApproximateNumberOfMessagesVisible", "postponed" = "ApproximateNumberOfMessagesDelayed" } : state => { math = null, metrics = {
        marks = { namespace = "AWS/SQS", name = name, stat = "Maximum", dimensions = { QueueName = element(split(":", module.dirty_queue.arn), 5) } }
      } } }
    },
    {
      area   = "warehouse", title = "Warehouse: compute (RPUs)", stacked = false, period_seconds = 1800
      series = { "" = { math = null, metrics = { capacity = { namespace = "AWS/Redshift-Serverless", name = "ComputeCapacity", stat = "Maximum", dimensions = { Workgroup = local.warehouse_workgroup } } } } }
    },
    {
      area = "warehouse", title = "Warehouse: queries failed", stacked = true, period_seconds = 300
      series = { "" = {
        math    = "SEARCH('{AWS/Redshift-Serverless,QueryType,Workgroup} MetricName=\"QueriesFailed\" Workgroup=\"${local.warehouse_workgroup}\"', 'Sum')"
        metrics = {}
      } }
    },
    {
      area = "warehouse", title = "Warehouse: queries waiting", stacked = true, period_seconds = 300
      series = { "" = {
        math    = "SEARCH('{AWS/Redshift-Serverless,QueryType,Workgroup} MetricName=\"QueriesQueued\" Workgroup=\"${local.warehouse_workgroup}\"', 'Maximum')"
        metrics = {}
      } }
    },
    {
      area = "quality", title = "From event to KPI by model, median (s)", stacked = false, period_seconds = 300
      series = { "" = {
        math    = "SEARCH('{Shoplake,function,model} MetricName=\"event_to_kpi_seconds\" function=\"${module.load.name}\"', 'p50')"
        metrics = {}
      } }
    },
    {
      area = "quality", title = "Age of the newest silver object (s)", stacked = false, period_seconds = 900
      series = { for name in [for name, dataset in local.datasets : name if try(dataset.fresh_within, null) != null] : name => { math = null, metrics = {
        age = { namespace = "Shoplake", name = "newest_object_age_seconds", stat = "Maximum", dimensions = { function = module.control.name, dataset = name } }
      } } }
    },
    {
      area = "cost", title = "Streams: bytes in", stacked = true, period_seconds = 3600
      series = { for source in local.sources : source => { math = null, metrics = {
        bytes = { namespace = "AWS/Kinesis", name = "IncomingBytes", stat = "Sum", dimensions = { StreamName = module.source[source].stream_name } }
      } } }
    },
    {
      area = "cost", title = "Functions: time they ran (ms)", stacked = true, period_seconds = 3600
      series = { for name, function in local.watched_functions : name => { math = null, metrics = {
        time = { namespace = "AWS/Lambda", name = "Duration", stat = "Sum", dimensions = { FunctionName = function.name } }
      } } }
    },
    {
      # Redshift tells every minute what the last half hour took: a longer period would count it several times.
      area   = "cost", title = "Warehouse: compute in half an hour (RPU s)", stacked = false, period_seconds = 1800
      series = { "" = { math = null, metrics = { compute = { namespace = "AWS/Redshift-Serverless", name = "ComputeSeconds", stat = "Maximum", dimensions = { Workgroup = local.warehouse_workgroup } } } } }
    },
    {
      area   = "cost", title = "Lake: bytes", stacked = true, period_seconds = 86400
      series = { "" = { math = "SEARCH('{AWS/S3,BucketName,StorageType} MetricName=\"BucketSizeBytes\" BucketName=\"${module.lake.bucket}\"', 'Average')", metrics = {} } }
    },
    {
      area   = "cost", title = "Logs: bytes in", stacked = true, period_seconds = 3600
      series = { "" = { math = "SEARCH('{AWS/Logs,LogGroupName} MetricName=\"IncomingBytes\" ${local.prefix_words}', 'Sum')", metrics = {} } }
    },
    {
      area   = "cost", title = "Athena: bytes scanned", stacked = true, period_seconds = 3600
      series = { "" = { math = "SEARCH('{AWS/Athena,QueryState,QueryType,WorkGroup} MetricName=\"ProcessedBytes\" ${local.prefix_words}', 'Sum')", metrics = {} } }
    },
  ]
}

module "dashboard" {
  source = "./modules/dashboard"
  count  = local.aws ? 1 : 0

  name       = local.prefix
  region     = var.region
  areas      = local.areas
  alarm_arns = module.alarms[0].arns
  panels = concat(
    [for watch in values(module.alarms[0].watches) : {
      area           = watch.area
      title          = watch.title
      threshold      = watch.threshold
      period_seconds = watch.period_seconds
      stacked        = false
      series         = watch.series
    }],
    local.graphs,
  )
}

# ---- what somebody asks ---------------------------------------------------------------------------------------------

locals {
  function_log_groups = { for name, function in local.watched_functions : name => "/aws/lambda/${function.name}" }
  failures            = "level in [\"ERROR\", \"WARN\"] or @message like /Task timed out|Runtime exited|panicked/"

  # An event's id is <webhook-id>.<number in the request>, and _envelope_id in silver. Between the first and the second query
  # Athena says which day it belongs to: RUNBOOK.md, "Follow one event".
  log_queries = {
    "follow an event 1 - its POST" = {
      groups = [local.function_log_groups.webhook]
      query  = <<-EOT
        fields @timestamp, message, status, problem, events, spans.0.shop as shop, spans.0.dataset as dataset, spans.0.webhook_id as webhook_id, spans.0.request_id as request_id
        | filter message in ["accepted", "refused"]
        | filter spans.0.webhook_id = "WEBHOOK-ID"
        | sort @timestamp desc
        | limit 100
      EOT
    }
    "follow an event 2 - its KPI" = {
      groups = [for name in ["dispatch", "transform", "load", "notify"] : local.function_log_groups[name]]
      query  = <<-EOT
        fields @timestamp, @log, message, model, partition, job, version, outcome, reason, rows, load, checks
        | filter model = "MODEL" and partition = "DAY"
        | sort @timestamp asc
        | limit 1000
      EOT
    }
    "what goes wrong" = {
      groups = values(local.function_log_groups)
      query  = <<-EOT
        fields @timestamp, @log, level, message, error, failure, @message
        | filter ${local.failures}
        | sort @timestamp desc
        | limit 200
      EOT
    }
    "refused requests by reason" = {
      groups = [local.function_log_groups.webhook]
      query  = <<-EOT
        filter message = "refused"
        | stats count(*) as requests by problem, spans.0.dataset as dataset, spans.0.shop as shop
        | sort requests desc
      EOT
    }
    "answers of the API that are errors" = {
      groups = [module.api.log_group]
      query  = <<-EOT
        filter status >= 400
        | stats count(*) as requests, pct(latency_milliseconds, 99) as latency by status, response_type, integration_error, path
        | sort requests desc
      EOT
    }
    "quarantined lines by dataset" = {
      groups = [local.function_log_groups.conform]
      query  = <<-EOT
        filter message = "conformed" and quarantined > 0
        | stats sum(quarantined) as lines, sum(received) as of by dataset, bin(1h)
        | sort lines desc
      EOT
    }
    "from event to KPI by model" = {
      groups = [local.function_log_groups.load]
      query  = <<-EOT
        filter ispresent(event_to_kpi_seconds)
        | stats count(*) as loads, pct(event_to_kpi_seconds, 50) as median, pct(event_to_kpi_seconds, 90) as p90, max(event_to_kpi_seconds) as longest by model
        | sort p90 desc
      EOT
    }
    "failed executions" = {
      groups = [for arn in values(local.watched_machines) : "/aws/vendedlogs/states/${element(split(":", arn), 6)}"]
      query  = <<-EOT
        fields @timestamp, type, details.error as error, details.cause as cause, execution_arn
        | filter type in ["ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"]
        | sort @timestamp desc
        | limit 100
      EOT
    }
  }
  waf_queries = { for acl in module.waf : "requests that the web ACL stopped" => {
    groups = [acl.log_group]
    query  = <<-EOT
      fields @timestamp, action, terminatingRuleId, httpRequest.clientIp as address, httpRequest.country as country, httpRequest.uri as path
      | stats count(*) as requests by action, terminatingRuleId, address, country, path
      | sort requests desc
    EOT
  } }
}

resource "aws_cloudwatch_query_definition" "this" {
  for_each = { for name, query in merge(local.log_queries, local.waf_queries) : name => query if local.aws }

  name            = "${local.prefix}/${each.key}"
  log_group_names = each.value.groups
  query_string    = each.value.query
}
