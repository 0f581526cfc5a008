output "name" {
  description = "Name of the task definition's family, the repository, the schedule group and, if there is one, the service."
  value       = local.name
}

output "repository_url" {
  description = "Where the image is pushed to."
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
  description = "Where the tasks log."
  value       = aws_cloudwatch_log_group.this.name
}

output "schedules" {
  description = "Shops that are polled by a schedule."
  value       = keys(aws_scheduler_schedule.this)
}
