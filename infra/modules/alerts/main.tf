# An SNS topic for alerts or notifications.

data "aws_caller_identity" "current" {}

locals {
  rules    = contains(var.publishing_services, "events.amazonaws.com")
  services = setsubtract(var.publishing_services, ["events.amazonaws.com"])
}

resource "aws_sns_topic" "this" {
  name              = var.name
  kms_master_key_id = var.key_arn
}

data "aws_iam_policy_document" "this" {
  dynamic "statement" {
    for_each = length(local.services) == 0 ? [] : [local.services]

    content {
      sid       = "AlarmsOfThisAccount"
      actions   = ["sns:Publish"]
      resources = [aws_sns_topic.this.arn]

      principals {
        type        = "Service"
        identifiers = statement.value
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [data.aws_caller_identity.current.account_id]
      }
    }
  }

  # No condition: EventBridge sends neither account nor rule to a topic, and a condition would
  # reject every event.
  dynamic "statement" {
    for_each = local.rules ? [true] : []

    content {
      sid       = "Rules"
      actions   = ["sns:Publish"]
      resources = [aws_sns_topic.this.arn]

      principals {
        type        = "Service"
        identifiers = ["events.amazonaws.com"]
      }
    }
  }

  statement {
    sid       = "RefusePlainHttp"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

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
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_sns_topic_subscription" "email" {
  count = var.email == null ? 0 : 1

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = var.email
}
