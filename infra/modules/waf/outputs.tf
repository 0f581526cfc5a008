output "arn" {
  description = "The web ACL's ARN."
  value       = aws_wafv2_web_acl.this.arn
}

output "name" {
  description = "The web ACL's name, a dimension of its metrics."
  value       = aws_wafv2_web_acl.this.name
}

output "log_group" {
  description = "Log group of blocked requests."
  value       = aws_cloudwatch_log_group.this.name
}
