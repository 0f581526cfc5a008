output "id" {
  description = "The API's id."
  value       = aws_api_gateway_rest_api.this.id
}

output "stage" {
  description = "The stage's name, the first segment of every path."
  value       = aws_api_gateway_stage.this.stage_name
}

output "url" {
  description = "Base URL of the API on AWS, with the custom domain if it has one."
  value       = var.custom_domain == null ? aws_api_gateway_stage.this.invoke_url : "https://${var.custom_domain.name}"
}

output "name" {
  description = "The API's name, a dimension of its metrics."
  value       = aws_api_gateway_rest_api.this.name
}

output "stage_arn" {
  description = "The stage's ARN, for a web ACL."
  value       = aws_api_gateway_stage.this.arn
}

output "log_group" {
  description = "Name of the access log's group."
  value       = aws_cloudwatch_log_group.this.name
}

output "domain_target" {
  description = "DNS target of the custom domain; null without one."
  value       = one(aws_api_gateway_domain_name.this[*].regional_domain_name)
}

output "api_key_ids" {
  description = "Id of each shop's API key."
  value       = { for shop, key in aws_api_gateway_api_key.this : shop => key.id }
}

output "limited_shops" {
  description = "Shops with limits of their own."
  value       = toset(keys(aws_api_gateway_usage_plan_key.this))
}
