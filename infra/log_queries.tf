# Saved queries of CloudWatch Logs Insights.

locals {
  function_log_groups = { for name, function in local.monitored_functions : name => "/aws/lambda/${function.name}" }
  failures            = "level in [\"ERROR\", \"WARN\"] or @message like /Task timed out|Runtime exited|panicked/"

  # An event's id is <webhook-id>.<index in the request>, and _envelope_id in silver. Athena has its
  # day, which the second query needs: RUNBOOK.md, "Follow one event".
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
    "errors of all functions" = {
      groups = values(local.function_log_groups)
      query  = <<-EOT
        fields @timestamp, @log, level, message, error, failure, @message
        | filter ${local.failures}
        | sort @timestamp desc
        | limit 200
      EOT
    }
    "rejected requests by reason" = {
      groups = [local.function_log_groups.webhook]
      query  = <<-EOT
        filter message = "refused"
        | stats count(*) as requests by problem, spans.0.dataset as dataset, spans.0.shop as shop
        | sort requests desc
      EOT
    }
    "errors of the API" = {
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
      groups = [for arn in values(local.monitored_state_machines) : "/aws/vendedlogs/states/${element(split(":", arn), 6)}"]
      query  = <<-EOT
        fields @timestamp, type, details.error as error, details.cause as cause, execution_arn
        | filter type in ["ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"]
        | sort @timestamp desc
        | limit 100
      EOT
    }
  }
  waf_queries = { for acl in module.waf : "requests blocked by the web ACL" => {
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
