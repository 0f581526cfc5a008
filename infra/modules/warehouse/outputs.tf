output "workgroup_name" {
  description = "The workgroup's name."
  value       = aws_redshiftserverless_workgroup.this.workgroup_name
}

output "workgroup_arn" {
  description = "The workgroup's ARN, with a generated id."
  value       = aws_redshiftserverless_workgroup.this.arn
}

output "namespace_name" {
  description = "The namespace's name."
  value       = aws_redshiftserverless_namespace.this.namespace_name
}

output "endpoint" {
  description = "Host and port of the workgroup, inside the VPC."
  value = {
    host = aws_redshiftserverless_workgroup.this.endpoint[0].address
    port = aws_redshiftserverless_workgroup.this.endpoint[0].port
  }
}

output "jdbc_url" {
  description = "URL for JDBC clients."
  value       = "jdbc:redshift://${aws_redshiftserverless_workgroup.this.endpoint[0].address}:${aws_redshiftserverless_workgroup.this.endpoint[0].port}/${var.database}"
}

output "admin_secret_arn" {
  description = "Secret of the database's admin, managed and rotated by Secrets Manager."
  value       = aws_redshiftserverless_namespace.this.admin_password_secret_arn
}

output "security_group_id" {
  description = "Security group of the endpoint."
  value       = aws_security_group.this.id
}

output "usage_limit_ids" {
  description = "Id of each usage limit, a dimension of its metrics."
  value       = { for name, limit in aws_redshiftserverless_usage_limit.this : name => limit.id }
}
