# The dashboard: a graph for each alarm, and further graphs without an alarm.

locals {
  dashboard_groups = [
    { name = "ingest", title = "Ingest: from a POST or a poll to stream and bronze" },
    { name = "conform", title = "Conform: from stream and bronze to silver" },
    { name = "orchestration", title = "Orchestration: from silver to gold" },
    { name = "warehouse", title = "Warehouse" },
    { name = "quality", title = "Data quality" },
    { name = "cost", title = "Cost drivers" },
  ]

  # A metric search matches words and splits a name at its hyphens.
  prefix_words = replace(local.prefix, "-", " ")

  graphs = [
    {
      group  = "ingest", title = "API: requests", stacked = true, period_seconds = 300
      series = { "" = { math = null, metrics = { requests = { namespace = "AWS/ApiGateway", name = "Count", stat = "Sum", dimensions = local.api_dimensions } } } }
    },
    {
      group = "ingest", title = "Events accepted", stacked = true, period_seconds = 300
      series = { for dataset in local.streamed_datasets : dataset => { math = null, metrics = {
        accepted = { namespace = "Shoplake", name = "accepted_events_count", stat = "Sum", dimensions = { function = module.webhook.name, dataset = dataset } }
      } } }
    },
    {
      group = "ingest", title = "Rejected requests", stacked = true, period_seconds = 300
      series = { for dataset in local.streamed_datasets : dataset => { math = null, metrics = {
        refused = { namespace = "Shoplake", name = "rejected_requests_count", stat = "Sum", dimensions = { function = module.webhook.name, dataset = dataset } }
      } } }
    },
    {
      group = "conform", title = "Silver: rows written", stacked = true, period_seconds = 300
      series = { for dataset in local.external_datasets : dataset => { math = null, metrics = {
        rows = { namespace = "Shoplake", name = "written_silver_rows_count", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
      } } }
    },
    {
      group = "conform", title = "Silver: bytes written", stacked = true, period_seconds = 300
      series = { for dataset in local.external_datasets : dataset => { math = null, metrics = {
        bytes = { namespace = "Shoplake", name = "written_parquet_bytes", stat = "Sum", dimensions = { function = module.conform.name, dataset = dataset } }
      } } }
    },
    {
      group = "orchestration", title = "Executions started", stacked = true, period_seconds = 300
      series = { for name, arn in local.monitored_state_machines : name => { math = null, metrics = {
        started = { namespace = "AWS/States", name = "ExecutionsStarted", stat = "Sum", dimensions = { StateMachineArn = arn } }
      } } }
    },
    {
      group = "orchestration", title = "Executions: p90 duration (ms)", stacked = false, period_seconds = 300
      series = { for name, arn in local.monitored_state_machines : name => { math = null, metrics = {
        time = { namespace = "AWS/States", name = "ExecutionTime", stat = "p90", dimensions = { StateMachineArn = arn } }
      } } }
    },
    {
      group = "orchestration", title = "Dirty queue: messages", stacked = false, period_seconds = 300
      series = { for state, name in { "visible" = "ApproximateNumberOfMessagesVisible", "hidden" = "ApproximateNumberOfMessagesNotVisible" } : state => { math = null, metrics = {
        messages = { namespace = "AWS/SQS", name = name, stat = "Maximum", dimensions = { QueueName = element(split(":", module.dirty_queue.arn), 5) } }
      } } }
    },
    {
      group  = "warehouse", title = "Warehouse: compute (RPUs)", stacked = false, period_seconds = 1800
      series = { "" = { math = null, metrics = { capacity = { namespace = "AWS/Redshift-Serverless", name = "ComputeCapacity", stat = "Maximum", dimensions = { Workgroup = local.warehouse_workgroup } } } } }
    },
    {
      group = "warehouse", title = "Warehouse: failed queries", stacked = true, period_seconds = 300
      series = { "" = {
        math    = "SEARCH('{\"AWS/Redshift-Serverless\",QueryType,Workgroup} MetricName=\"QueriesFailed\" Workgroup=\"${local.warehouse_workgroup}\"', 'Sum')"
        metrics = {}
      } }
    },
    {
      group = "warehouse", title = "Warehouse: queued queries", stacked = true, period_seconds = 300
      series = { "" = {
        math    = "SEARCH('{\"AWS/Redshift-Serverless\",QueryType,Workgroup} MetricName=\"QueriesQueued\" Workgroup=\"${local.warehouse_workgroup}\"', 'Maximum')"
        metrics = {}
      } }
    },
    {
      group = "quality", title = "From event to KPI by model, median (s)", stacked = false, period_seconds = 300
      series = { "" = {
        math    = "SEARCH('{Shoplake,function,model} MetricName=\"event_to_kpi_seconds\" function=\"${module.load.name}\"', 'p50')"
        metrics = {}
      } }
    },
    {
      group = "quality", title = "Age of the newest silver object (s)", stacked = false, period_seconds = 900
      series = { for name in [for name, dataset in local.datasets : name if try(dataset.fresh_within, null) != null] : name => { math = null, metrics = {
        age = { namespace = "Shoplake", name = "newest_object_age_seconds", stat = "Maximum", dimensions = { function = module.control.name, dataset = name } }
      } } }
    },
    {
      group = "cost", title = "Streams: bytes in", stacked = true, period_seconds = 3600
      series = { for source in local.sources : source => { math = null, metrics = {
        bytes = { namespace = "AWS/Kinesis", name = "IncomingBytes", stat = "Sum", dimensions = { StreamName = module.source[source].stream_name } }
      } } }
    },
    {
      group = "cost", title = "Functions: duration (ms)", stacked = true, period_seconds = 3600
      series = { for name, function in local.monitored_functions : name => { math = null, metrics = {
        time = { namespace = "AWS/Lambda", name = "Duration", stat = "Sum", dimensions = { FunctionName = function.name } }
      } } }
    },
    {
      # Every minute Redshift reports the last half hour: a longer period would count it several
      # times.
      group  = "cost", title = "Warehouse: compute in half an hour (RPU s)", stacked = false, period_seconds = 1800
      series = { "" = { math = null, metrics = { compute = { namespace = "AWS/Redshift-Serverless", name = "ComputeSeconds", stat = "Maximum", dimensions = { Workgroup = local.warehouse_workgroup } } } } }
    },
    {
      group  = "cost", title = "Lake: bytes", stacked = true, period_seconds = 86400
      series = { "" = { math = "SEARCH('{AWS/S3,BucketName,StorageType} MetricName=\"BucketSizeBytes\" BucketName=\"${module.lake.bucket}\"', 'Average')", metrics = {} } }
    },
    {
      group  = "cost", title = "Logs: bytes in", stacked = true, period_seconds = 3600
      series = { "" = { math = "SEARCH('{AWS/Logs,LogGroupName} MetricName=\"IncomingBytes\" ${local.prefix_words}', 'Sum')", metrics = {} } }
    },
    {
      group  = "cost", title = "Athena: bytes scanned", stacked = true, period_seconds = 3600
      series = { "" = { math = "SEARCH('{AWS/Athena,QueryState,QueryType,WorkGroup} MetricName=\"ProcessedBytes\" ${local.prefix_words}', 'Sum')", metrics = {} } }
    },
  ]
}

module "dashboard" {
  source = "./modules/dashboard"
  count  = local.aws ? 1 : 0

  name       = local.prefix
  region     = var.region
  groups     = local.dashboard_groups
  alarm_arns = module.alarms[0].arns
  panels = concat(
    [for alarm in values(module.alarms[0].alarms) : {
      group          = alarm.group
      title          = alarm.title
      threshold      = alarm.threshold
      period_seconds = alarm.period_seconds
      stacked        = false
      series         = alarm.series
    }],
    local.graphs,
  )
}
