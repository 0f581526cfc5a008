variable "name" {
  description = "The dashboard's name."
  type        = string
}

variable "region" {
  description = "Region of the metrics."
  type        = string
}

variable "areas" {
  description = "The rows, in order."
  type        = list(object({ name = string, title = string }))
}

variable "panels" {
  description = "The graphs. A series is as in the module alarms, or only math, which then searches for its metrics."
  type = list(object({
    area           = string
    title          = string
    threshold      = optional(number)
    period_seconds = optional(number, 300)
    stacked        = optional(bool, false)
    series = map(object({
      math = optional(string)
      metrics = optional(map(object({
        namespace  = string
        name       = string
        stat       = string
        dimensions = map(string)
      })), {})
    }))
  }))

  validation {
    condition     = length(distinct([for panel in var.panels : panel.title])) == length(var.panels)
    error_message = "Every graph needs a title of its own."
  }
  validation {
    condition     = length(setsubtract([for panel in var.panels : panel.area], [for area in var.areas : area.name])) == 0
    error_message = "Every graph must be of one of the areas, or nobody sees it."
  }
}

variable "alarm_arns" {
  description = "Alarms whose state is shown on top."
  type        = list(string)

  validation {
    condition     = length(var.alarm_arns) <= 100
    error_message = "CloudWatch shows at most 100 alarms in one place."
  }
}
