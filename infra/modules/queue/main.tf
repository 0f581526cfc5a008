# An SQS queue that requires TLS, encrypted with SQS's key: messages name objects and records and
# have no data of shops, and a KMS key would cost a request per poll.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  # The ARNs are composed, so that policies are part of the queue. As separate resources each takes
  # 25 seconds, during which the queue has no policy.
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
      sid       = "AllowEventRules"
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

  redrive_policy = var.dead_letter_queue == null ? null : jsonencode({
    deadLetterTargetArn = var.dead_letter_queue.queue_arn
    maxReceiveCount     = var.dead_letter_queue.after_receives
  })

  redrive_allow_policy = var.dead_letter_queue_of == null ? null : jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = ["${local.arn_prefix}${var.dead_letter_queue_of}"]
  })
}
