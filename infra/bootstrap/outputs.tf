output "state_bucket" {
  description = "Bucket of the states, where `make deploy` looks for it."
  value       = aws_s3_bucket.state.id
}

output "deploy_role_arns" {
  description = "Role that each environment's deployment assumes: the variable AWS_ROLE_ARN of the environment in GitHub."
  value       = { for environment, role in aws_iam_role.deployer : environment => role.arn }
}
