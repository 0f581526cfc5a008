variable "name" {
  description = "The queue's name."
  type        = string
}

variable "region" {
  description = "The queue's region."
  type        = string
}

variable "visibility_seconds" {
  description = <<-TEXT
    Visibility timeout of a received message: for a Lambda mapping at least six times the function's
    timeout, or a slow batch is delivered twice.
  TEXT
  type        = number
  default     = 30
}

variable "dead_letter_queue" {
  description = <<-TEXT
    Dead-letter queue and the number of receives after which a message goes there; null for none.
  TEXT
  type        = object({ queue_arn = string, after_receives = number })
  default     = null
}

variable "dead_letter_queue_of" {
  description = "Name of the queue whose dead-letter queue this is; null for none."
  type        = string
  default     = null
}

variable "sending_rule_arns" {
  description = "EventBridge rules that may send messages."
  type        = list(string)
  default     = []
}
