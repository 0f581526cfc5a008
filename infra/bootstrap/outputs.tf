output "state_bucket" {
  description = "Bucket of the Terraform states, used by `make deploy`."
  value       = aws_s3_bucket.state.id
}

output "deploy_role_arns" {
  description = <<-TEXT
    Deploy role of each environment: the variable AWS_ROLE_ARN of the environment in GitHub.
  TEXT
  value       = { for environment, role in aws_iam_role.deployer : environment => role.arn }
}
