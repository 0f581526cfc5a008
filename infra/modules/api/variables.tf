variable "name" {
  description = "The API's name."
  type        = string
}

variable "function_name" {
  description = "Function that answers every request."
  type        = string
}

variable "function_invoke_arn" {
  description = "ARN under which API Gateway invokes that function."
  type        = string
}

variable "throttle" {
  description = "Requests per second, steady and burst."
  type        = object({ rate = number, burst = number })
}

variable "tls_policy" {
  description = "API Gateway's security policy of the default endpoint; null for the service's own default."
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
  description = "Whether events are taken only with the API key of a shop in shop_limits."
  type        = bool
}

variable "shop_limits" {
  description = "What each shop may send: requests per second, steady and burst, and a quota of requests per DAY, WEEK or MONTH, or none."
  type = map(object({
    rate  = number
    burst = number
    quota = optional(object({ requests = number, per = string }))
  }))
}

variable "custom_domain" {
  description = "Name, certificate and hosted zone, and whether it is the only name; null for the default name alone."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
    only            = optional(bool, true)
  })
}
