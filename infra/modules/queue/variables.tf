variable "name" {
  description = "The queue's name."
  type        = string
}

variable "region" {
  description = "The queue's region."
  type        = string
}

variable "visibility_seconds" {
  description = "How long a received message stays hidden: for a Lambda mapping at least six times the function's timeout, or a slow batch is delivered twice."
  type        = number
  default     = 30
}

variable "dead_letters_to" {
  description = "Where a message goes that was received so often without success; null for nowhere."
  type        = object({ queue_arn = string, after_receives = number })
  default     = null
}

variable "dead_letters_from" {
  description = "Name of the one queue whose dead letters come here; null for none."
  type        = string
  default     = null
}

variable "sending_rule_arns" {
  description = "EventBridge rules that may send here."
  type        = list(string)
  default     = []
}
