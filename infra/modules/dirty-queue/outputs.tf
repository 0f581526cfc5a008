output "url" {
  description = "The queue's URL."
  value       = module.queue.url
}

output "arn" {
  description = "The queue's ARN."
  value       = module.queue.arn
}

output "dead_letters_url" {
  description = "URL of the queue of what could not be delivered or dispatched."
  value       = module.dead_letters.url
}

output "dead_letters_arn" {
  description = "That queue's ARN."
  value       = module.dead_letters.arn
}

output "bus_name" {
  description = "The bus on which announcements are made."
  value       = aws_cloudwatch_event_bus.this.name
}

output "bus_arn" {
  description = "That bus's ARN."
  value       = aws_cloudwatch_event_bus.this.arn
}

output "object_prefixes" {
  description = "Key prefixes whose new objects count."
  value       = var.object_prefixes
}

output "rules" {
  description = "Name and bus of each rule that sends here."
  value       = { for key, rule in aws_cloudwatch_event_rule.this : key => { name = rule.name, bus = rule.event_bus_name } }
}
