output "workgroup_names" {
  description = "Name of each workgroup."
  value       = { for name, workgroup in aws_athena_workgroup.this : name => workgroup.id }
}

output "workgroup_arns" {
  description = "ARN of each workgroup."
  value       = { for name, workgroup in aws_athena_workgroup.this : name => workgroup.arn }
}

output "results_bucket" {
  description = "Bucket of the results."
  value       = aws_s3_bucket.results.bucket
}

output "results_bucket_arn" {
  description = "ARN of the bucket of results."
  value       = aws_s3_bucket.results.arn
}

output "use_policies" {
  description = <<-TEXT
    IAM policy (JSON) for queries in a workgroup, by its name, without access to tables.
  TEXT
  value       = { for name, policy in data.aws_iam_policy_document.use : name => policy.json }
}

output "workgroups" {
  description = "The workgroups, by name."
  value       = aws_athena_workgroup.this
}
