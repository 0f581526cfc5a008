# A state machine. Its role may invoke the given functions, publish to the given topic, and use the
# given policies.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

# The prefix of vended logs needs no resource policy, which would exceed its size limit.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338: retention is a variable; logs are for debugging, CloudTrail for audits
  name              = "/aws/vendedlogs/states/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["states.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.current.partition}:states:${var.region}:${data.aws_caller_identity.current.account_id}:stateMachine:${var.name}"]
    }
  }
}

data "aws_iam_policy_document" "this" {
  source_policy_documents = var.policies

  dynamic "statement" {
    for_each = length(var.function_arns) == 0 ? [] : [true]

    content {
      sid       = "CallFunctions"
      actions   = ["lambda:InvokeFunction"]
      resources = var.function_arns
    }
  }

  dynamic "statement" {
    for_each = var.alerts[*]

    content {
      sid       = "PublishAlerts"
      actions   = ["sns:Publish"]
      resources = [statement.value.topic_arn]
    }
  }

  dynamic "statement" {
    for_each = var.alerts[*]

    content {
      sid       = "EncryptAlerts"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value.key_arn]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["sns.${var.region}.amazonaws.com"]
      }
    }
  }

  # Exception: the log delivery actions have no resources; AWS documents this list for state
  # machines.
  statement {
    sid = "DeliverLogs"
    actions = [
      "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
      "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
    ]
    resources = ["*"]
  }

  # Exception: X-Ray's actions have no resources, so AWS accepts only "*".
  statement {
    sid       = "WriteTraces"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "this" {
  name                 = var.name
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "this" {
  name   = "work"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_sfn_state_machine" "this" {
  #checkov:skip=CKV_AWS_285: a variable; execution data may hold rows of failed checks
  name       = var.name
  type       = var.type
  role_arn   = aws_iam_role.this.arn
  definition = var.definition

  # The log is the only history of Express executions; Standard keeps its history for 90 days.
  # Without execution data the log has the failed step with error and cause, but no inputs and
  # outputs, which may hold rows of failed checks.
  logging_configuration {
    log_destination        = "${aws_cloudwatch_log_group.this.arn}:*"
    include_execution_data = var.log_data
    level                  = var.log_level
  }

  dynamic "tracing_configuration" {
    for_each = var.tracing ? [true] : []

    content {
      enabled = true
    }
  }

  # Creation fails without permissions for log delivery.
  depends_on = [aws_iam_role_policy.this]
}
