# What is watched, and what wakes somebody. An alarm and its graph come from one entry of
# local.watches; what an alarm means and what to do says RUNBOOK.md, one section for each entry
# (tests/infra/test_runbook.py compares them).

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
  watched_rules = merge(
    module.dirty_queue.rules,
    { check-freshness = { name = aws_cloudwatch_event_rule.freshness.name, bus = "default" } },
    { for failure, rule in aws_cloudwatch_event_rule.connector_failed : "connector-${failure}" => { name = rule.name, bus = "default" } },
    { for severity, rule in aws_cloudwatch_event_rule.image_findings : "image-findings-${severity}" => { name = rule.name, bus = "default" } },
  )
  watched_usage = merge([for warehouse in module.warehouse : warehouse.usage_limit_ids]...)

  # Datasets that somebody sends; the others describe what was sent.
  sent_datasets     = [for name, dataset in local.datasets : name if dataset.delivery != "internal"]
  streamed_datasets = [for name, dataset in local.datasets : name if dataset.delivery == "stream" && try(dataset.parent, null) == null]

  api_dimensions = { ApiName = module.api.name, Stage = module.api.stage }
}

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
    secrets-unavailable = {
      area      = "ingest"
      title     = "Webhook: shops' secrets that could not be read"
      says      = "Parameter Store throttles or fails, or the list of shops cannot be read: requests of shops may be answered 503."
      threshold = 5
      periods   = 2
      of        = 3
      series = { "" = { math = null, metrics = {
        failures = { namespace = "Shoplake/Logs/${local.prefix}", name = "secrets-unavailable", stat = "Sum", dimensions = {} }
      } } }
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
    # A latency needs something that arrived. This is for when nothing does: a rule that is switched
    # off leaves no other trace.
    kpi-stale = {
      area           = "quality"
      title          = "Silver grew, and nothing was loaded"
      says           = "Rows of a dataset have been written to silver for two hours, and nothing has been loaded into the warehouse: KPIs stand still."
      threshold      = 0
      period_seconds = 3600
      periods        = 2
      of             = 2
      series = { for dataset in local.sent_datasets : dataset => {
        math = "IF(FILL(rows, 0) > 0 AND FILL(loads, 0) - FILL(failed, 0) <= 0, 1, 0)"
        metrics = {
          rows   = { namespace = "Shoplake", name = "written_silver_rows_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
          loads  = { namespace = "AWS/Lambda", name = "Invocations", stat = "Sum", dimensions = { FunctionName = module.load.name } }
          failed = { namespace = "AWS/Lambda", name = "Errors", stat = "Sum", dimensions = { FunctionName = module.load.name } }
        }
      } }
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
