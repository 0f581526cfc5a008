variable "name" {
  description = "The dashboard's name."
  type        = string
}

variable "region" {
  description = "Region of the metrics."
  type        = string
}

variable "groups" {
  description = "The sections, in order."
  type        = list(object({ name = string, title = string }))
}

variable "panels" {
  description = "The graphs. A series is as in the module alarms, or a search expression (math)."
  type = list(object({
    group          = string
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
    error_message = "Titles of graphs must be unique."
  }
  validation {
    condition     = length(setsubtract([for panel in var.panels : panel.group], [for group in var.groups : group.name])) == 0
    error_message = "The group of every graph must be one of groups."
  }
}

variable "alarm_arns" {
  description = "Alarms whose state the dashboard shows."
  type        = list(string)
}
