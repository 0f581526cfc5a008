# The alarms. Each entry of a local `*_alarms` becomes an alarm and a graph on the dashboard.
# RUNBOOK.md has a section for each entry: what it means and what to do
# (tests/infra/test_runbook.py).

locals {
  monitored_functions = {
    webhook   = module.webhook
    conform   = module.conform
    dispatch  = module.dispatch
    transform = module.transform
    load      = module.load
    notify    = module.notify
    control   = module.control
  }
  monitored_state_machines = merge(
    { bronze-to-silver = module.bronze_to_silver.arn, silver-to-gold = module.silver_to_gold.arn },
    { for machine in module.silver_to_gold_glue : "silver-to-gold-glue" => machine.arn },
  )
  dead_letter_queues = merge(
    { dirty = module.dirty_queue.dead_letter_queue_arn, conform = module.conform_failed.arn },
    { for queue in module.schedules_dead_letter_queue : "schedules" => queue.arn },
    { for queue in module.control_failed : "control" => queue.arn },
  )
  monitored_rules = merge(
    module.dirty_queue.rules,
    { check-freshness = { name = aws_cloudwatch_event_rule.freshness.name, bus = "default" } },
    { sweep = { name = aws_cloudwatch_event_rule.sweep.name, bus = "default" } },
    { for failure, rule in aws_cloudwatch_event_rule.connector_failed : "connector-${failure}" => { name = rule.name, bus = "default" } },
    { for severity, rule in aws_cloudwatch_event_rule.image_findings : "image-findings-${severity}" => { name = rule.name, bus = "default" } },
  )
  usage_limits = merge([for warehouse in module.warehouse : warehouse.usage_limit_ids]...)

  # Datasets that are sent from outside; the others describe deliveries.
  external_datasets = [for name, dataset in local.datasets : name if dataset.delivery != "internal"]
  streamed_datasets = [for name, dataset in local.datasets : name if dataset.delivery == "stream" && try(dataset.parent, null) == null]

  api_dimensions = { ApiName = module.api.name, Stage = module.api.stage }
}

locals {
  ingest_alarms = {
    api-errors = {
      group               = "ingest"
      title               = "API: 5xx responses (%)"
      description         = "More than 1 % of the requests got a 5xx response. Senders retry."
      threshold           = 1
      datapoints_to_alarm = 3
      evaluation_periods  = 5
      series = { "" = {
        # Ignores single failures during low traffic.
        math = "IF(requests >= 20, 100 * errors / requests, 0)"
        metrics = {
          errors   = { namespace = "AWS/ApiGateway", name = "5XXError", stat = "Sum", dimensions = local.api_dimensions }
          requests = { namespace = "AWS/ApiGateway", name = "Count", stat = "Sum", dimensions = local.api_dimensions }
        }
      } }
    }
    api-latency = {
      group               = "ingest"
      title               = "API: p99 latency (ms)"
      description         = "The p99 latency exceeds ${var.alarms.latency_seconds} s."
      threshold           = 1000 * var.alarms.latency_seconds
      datapoints_to_alarm = 3
      evaluation_periods  = 3
      series = { "" = { math = null, metrics = {
        latency = { namespace = "AWS/ApiGateway", name = "Latency", stat = "p99", dimensions = local.api_dimensions }
      } } }
    }
    rejected-events = {
      group = "ingest"
      title = "Events rejected by their contract (%)"
      description = join(" ", [
        "More than ${var.alarms.rejected_percent} % of a dataset's events violate their contract:",
        "a sender or the contract has changed.",
      ])
      threshold           = var.alarms.rejected_percent
      period_seconds      = 900
      datapoints_to_alarm = 2
      evaluation_periods  = 2
      series = { for dataset in local.streamed_datasets : dataset => {
        math = "IF(received >= 100, 100 * rejected / received, 0)"
        metrics = {
          rejected = { namespace = "Shoplake", name = "rejected_events_count", stat = "Sum", dimensions = { function = module.webhook.name, dataset = dataset } }
          received = { namespace = "Shoplake", name = "received_events_count", stat = "Sum", dimensions = { function = module.webhook.name, dataset = dataset } }
        }
      } }
    }
    secrets-unavailable = {
      group = "ingest"
      title = "Webhook: failed reads of secrets"
      description = join(" ", [
        "Parameter Store throttles or fails, or the list of shops cannot be read: shops may get",
        "503 responses.",
      ])
      threshold           = 5
      datapoints_to_alarm = 2
      evaluation_periods  = 3
      series = { "" = { math = null, metrics = {
        failures = { namespace = "Shoplake/Logs/${local.prefix}", name = "secrets-unavailable", stat = "Sum", dimensions = {} }
      } } }
    }
    stream-throttled = {
      group               = "ingest"
      title               = "Streams: throttled records"
      description         = "The stream throttles writes: senders are slowed down."
      threshold           = 0
      period_seconds      = 60
      datapoints_to_alarm = 5
      evaluation_periods  = 10
      series = { for source in local.sources : source => { math = null, metrics = {
        refused = { namespace = "AWS/Kinesis", name = "WriteProvisionedThroughputExceeded", stat = "Sum", dimensions = { StreamName = module.source[source].stream_name } }
      } } }
    }
    delivery-lag = {
      group               = "ingest"
      title               = "Bronze: delivery behind its stream (ms)"
      description         = "Firehose is more than ${var.alarms.lag_seconds} s behind its stream."
      threshold           = 1000 * var.alarms.lag_seconds
      datapoints_to_alarm = 2
      evaluation_periods  = 3
      series = { for source in local.sources : source => { math = null, metrics = {
        behind = { namespace = "AWS/Firehose", name = "KinesisMillisBehindLatest", stat = "Maximum", dimensions = { DeliveryStreamName = module.source[source].stream_name } }
      } } }
    }
    delivery-stale = {
      group = "ingest"
      title = "Bronze: age of the oldest undelivered record (s)"
      description = join(" ", [
        "Firehose does not deliver to bronze: its oldest record exceeds the buffer time.",
      ])
      threshold           = var.firehose_buffer_seconds + var.alarms.lag_seconds
      datapoints_to_alarm = 2
      evaluation_periods  = 3
      series = { for source in local.sources : source => { math = null, metrics = {
        age = { namespace = "AWS/Firehose", name = "DeliveryToS3.DataFreshness", stat = "Maximum", dimensions = { DeliveryStreamName = module.source[source].stream_name } }
      } } }
    }
  }

  waf_alarms = { for acl in module.waf : "waf-blocks" => {
    group = "ingest"
    title = "Web ACL: blocked requests"
    description = join(" ", [
      "The web ACL blocks many requests: a flood, a probe, or a rule that blocks valid events.",
    ])
    threshold           = 1000
    datapoints_to_alarm = 2
    evaluation_periods  = 3
    series = { "" = { math = null, metrics = {
      blocked = { namespace = "AWS/WAFV2", name = "BlockedRequests", stat = "Sum", dimensions = { WebACL = acl.name, Rule = "ALL", Region = var.region } }
    } } }
  } }

  conform_alarms = {
    conform-lag = {
      group = "conform"
      title = "Streams: age of the records that conform reads (ms)"
      description = join(" ", [
        "conform reads records older than ${var.alarms.lag_seconds} s: it is too slow, or retries",
        "one batch.",
      ])
      threshold           = 1000 * var.alarms.lag_seconds
      datapoints_to_alarm = 2
      evaluation_periods  = 3
      # Lambda reports the maximum over all mappings.
      series = { "" = { math = null, metrics = {
        age = { namespace = "AWS/Lambda", name = "IteratorAge", stat = "Maximum", dimensions = { FunctionName = module.conform.name } }
      } } }
    }
    quarantine-rate = {
      group = "quality"
      title = "Quarantined lines (%)"
      description = join(" ", [
        "More than ${var.alarms.quarantine_percent} % of a dataset's lines violate their contract",
        "and are in quarantine.",
      ])
      threshold      = var.alarms.quarantine_percent
      period_seconds = 900
      series = { for dataset in local.external_datasets : dataset => {
        math = "IF(received >= 20, 100 * quarantined / received, 0)"
        metrics = {
          quarantined = { namespace = "Shoplake", name = "quarantined_lines_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
          received    = { namespace = "Shoplake", name = "received_events_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
        }
      } }
    }
    unknown-lines = {
      group = "quality"
      title = "Lines without a known dataset"
      description = join(" ", [
        "Lines without a known dataset are in quarantine: a foreign writer, or a writer of",
        "another version.",
      ])
      threshold      = 0
      period_seconds = 900
      series = { "" = { math = null, metrics = {
        lines = { namespace = "Shoplake", name = "quarantined_lines_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = "_unknown" } }
      } } }
    }
  }

  function_alarms = {
    function-errors = {
      group = "orchestration"
      title = "Functions: failed invocations"
      description = join(" ", [
        "Invocations of the function fail repeatedly. Transient errors are retried and do not",
        "reach this alarm.",
      ])
      threshold           = 0
      datapoints_to_alarm = 3
      evaluation_periods  = 4
      series = { for name, function in local.monitored_functions : name => { math = null, metrics = {
        errors = { namespace = "AWS/Lambda", name = "Errors", stat = "Sum", dimensions = { FunctionName = function.name } }
      } } }
    }
    function-throttles = {
      group               = "orchestration"
      title               = "Functions: throttled invocations"
      description         = "Lambda throttles the function: its reserved or the account's concurrency is used up."
      threshold           = 0
      datapoints_to_alarm = 3
      evaluation_periods  = 3
      series = { for name, function in local.monitored_functions : name => { math = null, metrics = {
        throttles = { namespace = "AWS/Lambda", name = "Throttles", stat = "Sum", dimensions = { FunctionName = function.name } }
      } } }
    }
    function-slow = {
      group               = "orchestration"
      title               = "Functions: longest duration (% of the timeout)"
      description         = "The longest invocation exceeds 80 % of the timeout."
      threshold           = 80
      datapoints_to_alarm = 2
      evaluation_periods  = 3
      series = { for name, function in local.monitored_functions : name => {
        math = "duration / ${10 * function.timeout_seconds}"
        metrics = {
          duration = { namespace = "AWS/Lambda", name = "Duration", stat = "Maximum", dimensions = { FunctionName = function.name } }
        }
      } }
    }
  }

  orchestration_alarms = {
    dead-letter-queue = {
      group       = "orchestration"
      title       = "Dead-letter queues: messages"
      description = "The dead-letter queue has messages that failed all retries."
      threshold   = 0
      series = { for name, arn in local.dead_letter_queues : name => { math = null, metrics = {
        messages = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = element(split(":", arn), 5) } }
      } } }
    }
    dirty-queue-age = {
      group = "orchestration"
      title = "Dirty queue: age of the oldest message (s)"
      description = join(" ", [
        "The oldest dirty-partition message is older than 15 minutes: dirty partitions are not",
        "computed.",
      ])
      threshold           = 900
      datapoints_to_alarm = 2
      evaluation_periods  = 3
      series = { "" = { math = null, metrics = {
        age = { namespace = "AWS/SQS", name = "ApproximateAgeOfOldestMessage", stat = "Maximum", dimensions = { QueueName = element(split(":", module.dirty_queue.arn), 5) } }
      } } }
    }
    old-days-delayed = {
      group = "orchestration"
      title = "Old days that wait for their turn"
      description = join(" ", [
        "A shop sends rows of more than ${var.old_day_limits.computed} old days in an hour: further",
        "ones wait for their turn.",
      ])
      threshold      = 0
      period_seconds = 3600
      series = { "" = { math = null, metrics = {
        days = { namespace = "Shoplake", name = "delayed_days_count", stat = "Sum", dimensions = { function = module.dispatch.name } }
      } } }
    }
    executions-failed = {
      group = "orchestration"
      title = "Failed executions"
      description = join(" ", [
        "An execution failed, timed out or was stopped. The first failure of a step has published an",
        "alert with the cause. The sweep tries the step again.",
      ])
      threshold = 0
      series = { for name, arn in local.monitored_state_machines : name => {
        math = "failed + timedout + aborted"
        metrics = {
          failed   = { namespace = "AWS/States", name = "ExecutionsFailed", stat = "Sum", dimensions = { StateMachineArn = arn } }
          timedout = { namespace = "AWS/States", name = "ExecutionsTimedOut", stat = "Sum", dimensions = { StateMachineArn = arn } }
          aborted  = { namespace = "AWS/States", name = "ExecutionsAborted", stat = "Sum", dimensions = { StateMachineArn = arn } }
        }
      } }
    }
    events-undelivered = {
      group       = "orchestration"
      title       = "Undelivered events"
      description = "EventBridge could not deliver an event to its target."
      threshold   = 0
      series = { for name, rule in local.monitored_rules : name => { math = null, metrics = {
        failed = {
          namespace  = "AWS/Events"
          name       = "FailedInvocations"
          stat       = "Sum"
          dimensions = merge({ RuleName = rule.name }, rule.bus == "default" ? {} : { EventBusName = rule.bus })
        }
      } } }
    }
  }

  kpi_alarms = {
    kpi-latency = {
      group = "quality"
      title = "From event to KPI, p90 (s)"
      description = join(" ", [
        "Events take longer than ${var.alarms.kpi_seconds} s from receipt to the warehouse.",
      ])
      threshold           = var.alarms.kpi_seconds
      datapoints_to_alarm = 3
      evaluation_periods  = 3
      series = { "" = { math = null, metrics = {
        latency = { namespace = "Shoplake", name = "event_to_kpi_seconds", stat = "p90", dimensions = { function = module.load.name } }
      } } }
    }
    # kpi-latency needs loads. This alarm covers a pipeline that loads nothing, such as a disabled
    # rule.
    kpi-stale = {
      group = "quality"
      title = "Silver has new rows without a load"
      description = join(" ", [
        "Silver has new rows of a dataset for two hours, and the warehouse has no load: KPIs are",
        "out of date.",
      ])
      threshold           = 0
      period_seconds      = 3600
      datapoints_to_alarm = 2
      evaluation_periods  = 2
      series = { for dataset in local.external_datasets : dataset => {
        math = "IF(FILL(rows, 0) > 0 AND FILL(loads, 0) - FILL(failed, 0) <= 0, 1, 0)"
        metrics = {
          rows   = { namespace = "Shoplake", name = "written_silver_rows_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
          loads  = { namespace = "AWS/Lambda", name = "Invocations", stat = "Sum", dimensions = { FunctionName = module.load.name } }
          failed = { namespace = "AWS/Lambda", name = "Errors", stat = "Sum", dimensions = { FunctionName = module.load.name } }
        }
      } }
    }
    freshness-check-missing = {
      group = "quality"
      title = "Completed freshness checks"
      description = join(" ", [
        "The freshness check has not completed for two hours: late datasets are not detected.",
      ])
      threshold           = 1
      below_threshold     = true
      period_seconds      = 3600
      datapoints_to_alarm = 2
      evaluation_periods  = 2
      missing_data        = "breaching" # Missing data means a missing check.
      series = { "" = { math = null, metrics = {
        checks = { namespace = "Shoplake", name = "checked_datasets_count", stat = "SampleCount", dimensions = { function = module.control.name } }
      } } }
    }
  }

  warehouse_alarms = length(local.usage_limits) == 0 ? {} : {
    warehouse-usage = {
      group = "warehouse"
      title = "Warehouse: share of the usage limit (%)"
      description = join(" ", [
        "More than 80 % of the compute of this period is used; at the limit Redshift may reject",
        "queries.",
      ])
      threshold = 80
      # Redshift reports it only while it computes.
      missing_data = "ignore"
      series = { for name, id in local.usage_limits : name => {
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
  alarms = merge(
    local.ingest_alarms, local.waf_alarms, local.conform_alarms, local.function_alarms, local.orchestration_alarms,
    local.kpi_alarms, local.warehouse_alarms,
  )
}
