# A schedule for each shop starts the connector's task with the shop's variables.

locals {
  runs = var.image_tag == null ? {} : var.runs
}

resource "aws_scheduler_schedule_group" "this" {
  name = local.name
}

data "aws_iam_policy_document" "assume_schedule" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_scheduler_schedule_group.this.arn]
    }
  }
}

data "aws_iam_policy_document" "schedule" {
  # Any revision of this family: a retry may use the previous one.
  statement {
    sid       = "RunTask"
    actions   = ["ecs:RunTask"]
    resources = ["arn:${local.partition}:ecs:${var.region}:${local.account}:task-definition/${local.name}:*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster_arn]
    }
  }

  statement {
    sid       = "TagTask"
    actions   = ["ecs:TagResource"]
    resources = ["arn:${local.partition}:ecs:${var.region}:${local.account}:task/${var.cluster_name}/*"]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }

  statement {
    sid       = "PassTaskRoles"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.task.arn, aws_iam_role.execution.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement {
    sid       = "SendToDeadLetterQueue"
    actions   = ["sqs:SendMessage"]
    resources = [var.dead_letter_queue_arn]
  }

  statement {
    sid       = "DecryptSchedule"
    actions   = ["kms:Decrypt"]
    resources = [var.key_arn]
  }
}

resource "aws_iam_role" "schedule" {
  name                 = "${local.name}-schedule"
  assume_role_policy   = data.aws_iam_policy_document.assume_schedule.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "schedule" {
  name   = "run"
  role   = aws_iam_role.schedule.id
  policy = data.aws_iam_policy_document.schedule.json
}

resource "aws_scheduler_schedule" "this" {
  for_each = local.runs

  name                         = each.key
  group_name                   = aws_scheduler_schedule_group.this.name
  description                  = "Runs the ${var.name} connector for the shop ${each.key}."
  state                        = each.value.enabled ? "ENABLED" : "DISABLED"
  schedule_expression          = each.value.schedule
  schedule_expression_timezone = each.value.time_zone
  kms_key_arn                  = var.key_arn

  # Spreads the starts of shops with the same schedule.
  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = var.start_within_minutes
  }

  target {
    arn      = var.cluster_arn
    role_arn = aws_iam_role.schedule.arn

    input = jsonencode({
      containerOverrides = [{
        name        = local.container
        environment = [for name, value in each.value.environment : { name = name, value = value }]
      }]
    })

    ecs_parameters {
      task_definition_arn     = aws_ecs_task_definition.this["tagged"].arn
      group                   = "${var.name}:${each.key}" # The shop in the task's events.
      propagate_tags          = "TASK_DEFINITION"
      enable_ecs_managed_tags = true

      capacity_provider_strategy {
        capacity_provider = var.capacity_provider
        weight            = 1
      }
      network_configuration {
        subnets          = var.subnet_ids
        security_groups  = [var.security_group_id]
        assign_public_ip = var.assign_public_ip
      }
    }

    dead_letter_config {
      arn = var.dead_letter_queue_arn
    }

    # A task derives its period from the clock, so a late start would fetch another period: it is
    # reported instead.
    retry_policy {
      maximum_event_age_in_seconds = var.give_up_after_minutes * 60
      maximum_retry_attempts       = 30
    }
  }

  depends_on = [aws_iam_role_policy.schedule]
}
