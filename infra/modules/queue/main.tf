# A queue that takes TLS only, encrypted with SQS's own key: messages name objects and records and
# hold no data of a shop, and every poll would otherwise be a KMS request.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  # Spelt out, so that the policies are part of the queue: as resources of their own each takes 25
  # seconds to settle, and for that long the queue would stand open.
  arn_prefix = "arn:${data.aws_partition.current.partition}:sqs:${var.region}:${data.aws_caller_identity.current.account_id}:"
  arn        = "${local.arn_prefix}${var.name}"
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "RefusePlainHttp"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [local.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = length(var.sending_rule_arns) == 0 ? [] : [var.sending_rule_arns]

    content {
      sid       = "TakeEventsOfTheseRules"
      actions   = ["sqs:SendMessage"]
      resources = [local.arn]

      principals {
        type        = "Service"
        identifiers = ["events.amazonaws.com"]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = statement.value
      }
    }
  }
}

resource "aws_sqs_queue" "this" {
  name                       = var.name
  visibility_timeout_seconds = var.visibility_seconds
  message_retention_seconds  = 14 * 24 * 60 * 60
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  policy                     = data.aws_iam_policy_document.this.json

  redrive_policy = var.dead_letters_to == null ? null : jsonencode({
    deadLetterTargetArn = var.dead_letters_to.queue_arn
    maxReceiveCount     = var.dead_letters_to.after_receives
  })

  redrive_allow_policy = var.dead_letters_from == null ? null : jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = ["${local.arn_prefix}${var.dead_letters_from}"]
  })
}
