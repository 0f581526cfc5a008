output "arn" {
  description = "The web ACL's ARN."
  value       = aws_wafv2_web_acl.this.arn
}

output "name" {
  description = "The web ACL's name, under which CloudWatch counts its requests."
  value       = aws_wafv2_web_acl.this.name
}

output "log_group" {
  description = "Name of the log group of stopped requests."
  value       = aws_cloudwatch_log_group.this.name
}
