output "name" {
  description = "Name of task definition family, repository, schedule group and service."
  value       = local.name
}

output "repository_url" {
  description = "URL of the image repository."
  value       = aws_ecr_repository.this.repository_url
}

output "task_definition_arn" {
  description = "The task definition; null without an image."
  value       = one(values(aws_ecs_task_definition.this)[*].arn)
}

output "task_role_name" {
  description = "Role of the tasks."
  value       = aws_iam_role.task.name
}

output "log_group_name" {
  description = "Log group of the tasks."
  value       = aws_cloudwatch_log_group.this.name
}

output "schedules" {
  description = "Shops with a schedule."
  value       = keys(aws_scheduler_schedule.this)
}
