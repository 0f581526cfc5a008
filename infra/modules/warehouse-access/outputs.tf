output "copy_role_arn" {
  description = "Role to attach to the warehouse's namespace and to name in COPY."
  value       = aws_iam_role.copy.arn
}

output "send_sql_policy" {
  description = "IAM policy (JSON) of a function that sends statements through the Data API."
  value       = data.aws_iam_policy_document.send_sql.json
}
