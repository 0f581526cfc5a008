# Two keys for two groups of principals: the pipeline's data, and the shops' secrets.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
}

data "aws_iam_policy_document" "account" {
  #checkov:skip=CKV_AWS_109: "*" is this key, and only the account administers it
  #checkov:skip=CKV_AWS_111: "*" is this key, and only the account administers it
  #checkov:skip=CKV_AWS_356: "*" is this key, and only the account administers it

  # Delegates to IAM policies. In a key policy "*" is this key; without this statement the policy
  # could never be changed.
  statement {
    sid       = "DelegateToIam"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }
}

data "aws_iam_policy_document" "data" {
  source_policy_documents = [data.aws_iam_policy_document.account.json]

  statement {
    sid       = "EncryptLogGroups"
    actions   = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values = [
        "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:*${var.prefix}*",
        # API Gateway names the group of a stage's own log after the API's id.
        "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:API-Gateway-Execution-Logs_*",
      ]
    }
  }

  # An alarm without access to the topic's key is lost silently.
  statement {
    sid       = "PublishAlarmsToEncryptedTopic"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = setsubtract(var.publishing_services, ["events.amazonaws.com"])
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }

  # No condition: EventBridge sends no account when it publishes to an encrypted topic. The topic's
  # policy limits it.
  dynamic "statement" {
    for_each = contains(var.publishing_services, "events.amazonaws.com") ? [true] : []

    content {
      sid       = "PublishEventsToEncryptedTopic"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
      resources = ["*"]

      principals {
        type        = "Service"
        identifiers = ["events.amazonaws.com"]
      }
    }
  }
}

resource "aws_kms_key" "data" {
  description             = "${var.prefix}: lake, streams, alerts and logs"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_window_days
  policy                  = data.aws_iam_policy_document.data.json
}

resource "aws_kms_alias" "data" {
  name          = "alias/${var.prefix}-data"
  target_key_id = aws_kms_key.data.key_id
}

resource "aws_kms_key" "secrets" {
  description             = "${var.prefix}: the shops' secrets in Parameter Store"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_window_days
  policy                  = data.aws_iam_policy_document.account.json
}

resource "aws_kms_alias" "secrets" {
  name          = "alias/${var.prefix}-secrets"
  target_key_id = aws_kms_key.secrets.key_id
}
