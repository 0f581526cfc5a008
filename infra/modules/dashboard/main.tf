# A dashboard: the alarms on top, below them a section of graphs for each group.

locals {
  per_row       = 3
  width         = 24 / local.per_row
  height        = 6
  alarms_height = 4

  # CloudWatch shows at most 100 alarms in one widget.
  alarm_lists = chunklist(var.alarm_arns, 100)

  panels_by_group = [for group in var.groups : [for panel in var.panels : panel if panel.group == group.name]]
  # A heading and the rows of graphs.
  heights = [for panels in local.panels_by_group : 1 + local.height * ceil(length(panels) / local.per_row)]
  tops    = [for index, _ in var.groups : sum(concat([local.alarms_height * length(local.alarm_lists)], slice(local.heights, 0, index)))]

  alarms = [
    for index, arns in local.alarm_lists : {
      type   = "alarm"
      x      = 0
      y      = local.alarms_height * index
      width  = 24
      height = local.alarms_height
      properties = {
        title  = index == 0 ? "Alarms" : "Alarms (${index + 1})"
        alarms = arns
        sortBy = "stateUpdatedTimestamp"
        states = ["ALARM", "INSUFFICIENT_DATA"]
      }
    }
  ]

  headings = [
    for index, group in var.groups : {
      type       = "text"
      x          = 0
      y          = local.tops[index]
      width      = 24
      height     = 1
      properties = { markdown = "## ${group.title}", background = "transparent" }
    }
  ]

  graphs = flatten([
    for group, panels in local.panels_by_group : [
      for index, panel in panels : {
        type   = "metric"
        x      = local.width * (index % local.per_row)
        y      = local.tops[group] + 1 + local.height * floor(index / local.per_row)
        width  = local.width
        height = local.height
        properties = {
          title   = panel.title
          region  = var.region
          view    = "timeSeries"
          stacked = panel.stacked
          period  = panel.period_seconds
          metrics = local.lines[panel.title]
          yAxis   = { left = { min = 0, showUnits = false } }
          annotations = {
            horizontal = [for threshold in panel.threshold[*] : { value = threshold, label = "alarm" }]
          }
        }
      }
    ]
  ])

  # Metric ids must be unique on a graph: each series gets a suffix.
  lines = {
    for panel in var.panels : panel.title => concat([], [
      for index, name in keys(panel.series) : concat(
        [
          for id, metric in panel.series[name].metrics : concat(
            [metric.namespace, metric.name],
            flatten([for dimension, value in metric.dimensions : [dimension, value]]),
            [{ id = "${id}${index}", stat = metric.stat, label = coalesce(name, panel.title), visible = panel.series[name].math == null }],
          )
        ],
        [
          for math in panel.series[name].math[*] : [{
            id    = "math${index}"
            label = coalesce(name, panel.title)
            expression = length(panel.series[name].metrics) == 0 ? math : replace(
              math, "/\\b(${join("|", keys(panel.series[name].metrics))})\\b/", "$${1}${index}",
            )
          }]
        ],
      )
    ]...)
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    periodOverride = "inherit"
    widgets        = concat(local.alarms, local.headings, local.graphs)
  })
}
