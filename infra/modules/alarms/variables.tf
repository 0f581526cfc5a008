variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "topic_arn" {
  description = "Topic that is notified when an alarm begins and ends."
  type        = string
}

variable "alarms" {
  description = <<-TEXT
    The alarms by name. A series is one metric, or several with an expression over their ids (math).
    It alarms if in `datapoints_to_alarm` of the last `evaluation_periods` it exceeds the threshold
    (or falls below it, with below_threshold). missing_data is the meaning of a period without data.
  TEXT
  type = map(object({
    group               = string
    title               = string
    description         = string
    threshold           = number
    below_threshold     = optional(bool, false)
    period_seconds      = optional(number, 300)
    datapoints_to_alarm = optional(number, 1)
    evaluation_periods  = optional(number, 1)
    missing_data        = optional(string, "notBreaching")
    series = map(object({
      math = optional(string)
      metrics = map(object({
        namespace  = string
        name       = string
        stat       = string
        dimensions = map(string)
      }))
    }))
  }))

  validation {
    condition = alltrue([
      for alarm in values(var.alarms) : alarm.datapoints_to_alarm <= alarm.evaluation_periods
    ])
    error_message = "datapoints_to_alarm must be at most evaluation_periods."
  }
  validation {
    condition = alltrue([
      for alarm in values(var.alarms) :
      contains(["notBreaching", "breaching", "ignore"], alarm.missing_data)
    ])
    error_message = "missing_data must be notBreaching, breaching or ignore."
  }
  validation {
    condition = alltrue(flatten([
      for alarm in values(var.alarms) : [
        for series in values(alarm.series) : series.math != null || length(series.metrics) == 1
      ]
    ]))
    error_message = "A series of several metrics must have an expression (math)."
  }
}
