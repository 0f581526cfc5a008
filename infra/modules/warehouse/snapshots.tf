# Daily snapshots. Redshift keeps recovery points of 24 hours by itself. Marts could be loaded from
# gold, which takes longer than a restore.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  snapshots = var.snapshot_days == null ? {} : { daily = var.snapshot_days }
  arns      = "arn:${data.aws_partition.current.partition}:redshift-serverless:${var.region}:${data.aws_caller_identity.current.account_id}"
}

resource "aws_scheduler_schedule_group" "snapshots" {
  for_each = local.snapshots

  name = "${var.name}-warehouse"
}

data "aws_iam_policy_document" "assume" {
  for_each = local.snapshots

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_scheduler_schedule_group.snapshots[each.key].arn]
    }
  }
}

data "aws_iam_policy_document" "snapshots" {
  for_each = local.snapshots

  # Exception: a snapshot's ARN has a generated id.
  statement {
    sid       = "TakeSnapshots"
    actions   = ["redshift-serverless:CreateSnapshot"]
    resources = [aws_redshiftserverless_namespace.this.arn, "${local.arns}:snapshot/*"]
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

resource "aws_iam_role" "snapshots" {
  for_each = local.snapshots

  name                 = "${var.name}-warehouse-snapshots"
  assume_role_policy   = data.aws_iam_policy_document.assume[each.key].json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "snapshots" {
  for_each = local.snapshots

  name   = "work"
  role   = aws_iam_role.snapshots[each.key].id
  policy = data.aws_iam_policy_document.snapshots[each.key].json
}

resource "aws_scheduler_schedule" "snapshots" {
  for_each = local.snapshots

  name                = "snapshot"
  group_name          = aws_scheduler_schedule_group.snapshots[each.key].name
  description         = "Takes a snapshot of the warehouse, kept ${each.value} days."
  schedule_expression = "cron(15 2 * * ? *)"
  kms_key_arn         = var.key_arn

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 60
  }

  target {
    arn      = "arn:${data.aws_partition.current.partition}:scheduler:::aws-sdk:redshiftserverless:createSnapshot"
    role_arn = aws_iam_role.snapshots[each.key].arn

    # The execution id makes the name unique. jsonencode would escape the angle brackets of
    # Scheduler's placeholder.
    input = replace(replace(jsonencode({
      NamespaceName   = aws_redshiftserverless_namespace.this.namespace_name
      SnapshotName    = "${var.name}-<aws.scheduler.execution-id>"
      RetentionPeriod = each.value
    }), "\\u003c", "<"), "\\u003e", ">")

    dead_letter_config {
      arn = var.dead_letter_queue_arn
    }
    retry_policy {
      maximum_event_age_in_seconds = 4 * 60 * 60
      maximum_retry_attempts       = 20
    }
  }

  depends_on = [aws_iam_role_policy.snapshots]
}
