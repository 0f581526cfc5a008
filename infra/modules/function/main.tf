# A Rust function, its role, its logs. Every role has what is below and the caller's policy, and
# nothing else.

data "aws_caller_identity" "current" {}

locals {
  name    = "${var.defaults.prefix}-${var.name}"
  package = "${var.defaults.packages_dir}/${var.name}.zip"
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338: how long logs are kept is a variable; they are for finding faults, an audit has CloudTrail

  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.defaults.log_retention_days
  kms_key_id        = var.defaults.log_key_arn
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "this" {
  source_policy_documents = [var.policy]

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  # Exception: X-Ray's actions know no resources, so "*" is the only one that AWS accepts.
  statement {
    sid       = "WriteTraces"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "this" {
  name                 = local.name
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.defaults.permissions_boundary
}

resource "aws_iam_role_policy" "this" {
  name   = "work"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_115: what triggers a function bounds it (mappings, executions, throttles); a reservation would take from the others
  #checkov:skip=CKV_AWS_116: whoever invokes it asynchronously has the queue for what failed; most functions are only invoked synchronously
  #checkov:skip=CKV_AWS_117: it talks to AWS APIs only, which IAM guards; a VPC would add endpoints to the bill and seconds to a cold start
  #checkov:skip=CKV_AWS_173: the settings are names of resources; secrets are in Parameter Store
  #checkov:skip=CKV_AWS_272: only the deploy role may change the code, and it builds it from the repository

  function_name    = local.name
  description      = var.description
  role             = aws_iam_role.this.arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.defaults.architecture]
  filename         = local.package
  source_code_hash = filebase64sha256(local.package)
  memory_size      = var.memory_mb
  timeout          = var.timeout_seconds

  ephemeral_storage {
    size = var.ephemeral_mb
  }

  environment {
    variables = merge({ RUST_LOG = "info" }, var.environment)
  }

  tracing_config {
    mode = "Active"
  }

  # Otherwise Lambda could create the log group first, without retention and key.
  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy.this]
}
