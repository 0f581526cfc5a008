variable "name" {
  description = "The API's name."
  type        = string
}

variable "function_name" {
  description = "Function that handles every request."
  type        = string
}

variable "function_invoke_arn" {
  description = "The function's invocation ARN for API Gateway."
  type        = string
}

variable "throttle" {
  description = "Requests per second, steady and burst."
  type        = object({ rate = number, burst = number })
}

variable "tls_policy" {
  description = "Security policy of the default endpoint; null for the default."
  type        = string
}

variable "log_retention_days" {
  description = "Days that access logs are kept."
  type        = number
}

variable "log_key_arn" {
  description = "KMS key of the access logs."
  type        = string
}

variable "requires_api_key" {
  description = "Whether events need the API key of a shop in shop_limits."
  type        = bool
}

variable "shop_limits" {
  description = <<-TEXT
    Limits by shop: requests per second, burst, and an optional quota of requests per DAY, WEEK or
    MONTH.
  TEXT
  type = map(object({
    rate  = number
    burst = number
    quota = optional(object({ requests = number, per = string }))
  }))
}

variable "custom_domain" {
  description = <<-TEXT
    Name, certificate and hosted zone, and whether it is the only name; null for the default name.
  TEXT
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
    only            = optional(bool, true)
  })
}
