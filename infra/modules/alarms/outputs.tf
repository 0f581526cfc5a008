output "names" {
  description = "Name of each alarm, without the prefix."
  value       = keys(local.alarms)
}

output "arns" {
  description = "ARN of each alarm."
  value       = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn]
}

output "alarms" {
  description = "The alarms, with defaults."
  value       = var.alarms
}
