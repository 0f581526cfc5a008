variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "topic_arn" {
  description = "Topic that is told when an alarm begins and ends."
  type        = string
}

variable "watches" {
  description = "What is watched, by name. A series is one metric, or several and what is computed of them (math, over their ids). It alarms if in `periods` of the last `of` periods it was above (or below) the threshold; missing says what a period without data means."
  type = map(object({
    area           = string
    title          = string
    says           = string
    threshold      = number
    below          = optional(bool, false)
    period_seconds = optional(number, 300)
    periods        = optional(number, 1)
    of             = optional(number, 1)
    missing        = optional(string, "notBreaching")
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
    condition     = alltrue([for watch in values(var.watches) : watch.periods <= watch.of])
    error_message = "A watch cannot alarm after more periods than it looks at."
  }
  validation {
    condition     = alltrue([for watch in values(var.watches) : contains(["notBreaching", "breaching", "ignore"], watch.missing)])
    error_message = "Missing data is notBreaching, breaching or ignore."
  }
  validation {
    condition = alltrue(flatten([
      for watch in values(var.watches) : [for series in values(watch.series) : series.math != null || length(series.metrics) == 1]
    ]))
    error_message = "A series of several metrics must say what is computed of them."
  }
}
