output "url" {
  description = "The queue's URL."
  value       = module.queue.url
}

output "arn" {
  description = "The queue's ARN."
  value       = module.queue.arn
}

output "dead_letter_queue_url" {
  description = "URL of the dead-letter queue."
  value       = module.dead_letter_queue.url
}

output "dead_letter_queue_arn" {
  description = "ARN of the dead-letter queue."
  value       = module.dead_letter_queue.arn
}

output "bus_name" {
  description = "Name of the event bus."
  value       = aws_cloudwatch_event_bus.this.name
}

output "bus_arn" {
  description = "ARN of the event bus."
  value       = aws_cloudwatch_event_bus.this.arn
}

output "object_prefixes" {
  description = "Key prefixes whose new objects send messages."
  value       = var.object_prefixes
}

output "rules" {
  description = "Name and bus of each rule with this target."
  value       = { for key, rule in aws_cloudwatch_event_rule.this : key => { name = rule.name, bus = rule.event_bus_name } }
}
