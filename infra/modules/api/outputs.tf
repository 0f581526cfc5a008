output "id" {
  description = "The API's id."
  value       = aws_api_gateway_rest_api.this.id
}

output "stage" {
  description = "The stage's name, the first segment of every path."
  value       = aws_api_gateway_stage.this.stage_name
}

output "invoke_url" {
  description = "The stage's URL on AWS."
  value       = aws_api_gateway_stage.this.invoke_url
}
