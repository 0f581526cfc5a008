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

variable "manage_account" {
  description = "Whether to set the account's logging role for API Gateway."
  type        = bool
}

variable "log_retention_days" {
  description = "Days that access logs are kept."
  type        = number
}

variable "log_key_arn" {
  description = "KMS key of the access logs."
  type        = string
}
