output "topic_arn" {
  description = "Where alerts are published."
  value       = aws_sns_topic.this.arn
}
