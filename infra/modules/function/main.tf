# A Rust function with its role and logs. The role has the permissions below and those of the
# caller's policy.

data "aws_caller_identity" "current" {}

locals {
  name    = "${var.defaults.prefix}-${var.name}"
  package = "${var.defaults.packages_dir}/${var.name}.zip"
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338: retention is a variable; logs are for debugging, CloudTrail for audits

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

  # Exception: X-Ray's actions have no resources, so AWS accepts only "*".
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
  #checkov:skip=CKV_AWS_115: triggers limit concurrency; a reservation is a variable
  #checkov:skip=CKV_AWS_116: asynchronous callers have a dead-letter queue
  #checkov:skip=CKV_AWS_117: it calls AWS APIs only; a VPC adds costs and slower cold starts
  #checkov:skip=CKV_AWS_173: variables are names of resources; secrets are in Parameter Store
  #checkov:skip=CKV_AWS_272: only the deploy role changes the code

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

  reserved_concurrent_executions = var.reserved_concurrency

  ephemeral_storage {
    size = var.ephemeral_mb
  }

  environment {
    variables = merge({ RUST_LOG = "info" }, var.environment)
  }

  tracing_config {
    mode = "Active"
  }

  # Otherwise Lambda may create the log group without retention and key.
  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy.this]
}
