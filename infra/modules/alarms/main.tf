# One alarm for each series, named <prefix>-<alarm>[-<series>]. Every alarm publishes to the topic.

locals {
  alarms = merge([
    for alarm, settings in var.alarms : {
      for name, series in settings.series : join("-", compact([alarm, name])) => {
        alarm = alarm, settings = settings, series = series
      }
    }
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name = "${var.prefix}-${each.key}"
  alarm_description = join(" ", [
    each.value.settings.description,
    "What to do: docs/operations/RUNBOOK.md, ${each.value.alarm}.",
  ])

  comparison_operator = each.value.settings.below_threshold ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.settings.threshold
  evaluation_periods  = each.value.settings.evaluation_periods
  datapoints_to_alarm = each.value.settings.datapoints_to_alarm
  treat_missing_data  = each.value.settings.missing_data

  # The operator is also notified when the alarm ends.
  alarm_actions = [var.topic_arn]
  ok_actions    = [var.topic_arn]

  dynamic "metric_query" {
    for_each = each.value.series.metrics

    content {
      id          = metric_query.key
      return_data = each.value.series.math == null

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.stat
        period      = each.value.settings.period_seconds
      }
    }
  }

  dynamic "metric_query" {
    for_each = each.value.series.math[*]

    content {
      id          = "value"
      label       = each.value.settings.title
      expression  = metric_query.value
      return_data = true
    }
  }
}
