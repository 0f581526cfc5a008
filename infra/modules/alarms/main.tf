# Alarms of what is watched: one for each series, named <prefix>-<watch>[-<series>], and all of them
# tell somebody.

locals {
  alarms = merge([
    for watch, settings in var.watches : {
      for name, series in settings.series : join("-", compact([watch, name])) => { watch = watch, settings = settings, series = series }
    }
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = "${var.prefix}-${each.key}"
  alarm_description = "${each.value.settings.says} What to do: infra/RUNBOOK.md, ${each.value.watch}."

  comparison_operator = each.value.settings.below ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.settings.threshold
  evaluation_periods  = each.value.settings.of
  datapoints_to_alarm = each.value.settings.periods
  treat_missing_data  = each.value.settings.missing

  # Both ways: whoever was woken wants to know that it is over.
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
      id          = "watched"
      label       = each.value.settings.title
      expression  = metric_query.value
      return_data = true
    }
  }
}
