# control: the operator's actions, invoked by hand: migrations, shops and their secrets, backfills,
# reloads, reference tables, redrives. Schedules invoke it too (freshness.tf, sweep.tf), and state
# machines, to record failures.

locals {
  # Composed: control needs the state machines, and they need control.
  control_arn = "arn:${local.partition}:lambda:${var.region}:${local.account}:function:${local.prefix}-control"
}

data "aws_iam_policy_document" "control" {
  source_policy_documents = concat([
    module.warehouse_access.send_sql_policy,
    data.aws_iam_policy_document.mark_dirty.json,
    data.aws_iam_policy_document.redrive.json,
    data.aws_iam_policy_document.reload.json,
    data.aws_iam_policy_document.lake_key.json,
    data.aws_iam_policy_document.freshness.json,
    data.aws_iam_policy_document.sweep.json,
  ], data.aws_iam_policy_document.control_failed[*].json)

  statement {
    sid       = "EditReferenceTables"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/reference/*"]
  }

  # The webhook reads the list; writes are conditional.
  statement {
    sid       = "EditShopList"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/shops/shops.json"]
  }

  # For the 404 of a missing list; see list_partitions.
  statement {
    sid       = "FindShopList"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["shops/*"]
    }
  }

  # Only names, to write the list of existing shops.
  statement {
    sid       = "ListShopSecrets"
    actions   = ["ssm:GetParametersByPath"]
    resources = [local.shops_parameter_arn, "${local.shops_parameter_arn}/*"]
  }

  # A rotation reads the current secret, which becomes the previous one.
  statement {
    sid       = "WriteShopSecrets"
    actions   = ["ssm:GetParameter", "ssm:PutParameter"]
    resources = ["${local.shops_parameter_arn}/*"]
  }

  statement {
    sid       = "EncryptShopSecrets"
    actions   = ["kms:Encrypt", "kms:Decrypt"]
    resources = [module.keys.secrets_key_arn]

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:PARAMETER_ARN"
      values   = ["${local.shops_parameter_arn}/*"]
    }
  }
}

# Redrives dead-letter messages.
data "aws_iam_policy_document" "redrive" {
  statement {
    sid       = "ReceiveDeadLetterMessages"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
    resources = [module.dirty_queue.dead_letter_queue_arn, module.conform_failed.arn]
  }

  # Also for the 404 of an unedited reference table and of a day without gold; see list_partitions.
  statement {
    sid       = "ListBronzeAndQuarantine"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["bronze/*", "quarantine/*"]
    }
  }

  statement {
    sid       = "ReadQuarantine"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/quarantine/*"]
  }

  statement {
    sid       = "StartBronzeToSilver"
    actions   = ["states:StartExecution"]
    resources = [module.bronze_to_silver.arn]
  }

  statement {
    sid       = "PutEnvelopes"
    actions   = ["kinesis:PutRecords"]
    resources = [for source in local.sources : module.source[source].stream_arn]
  }

  statement {
    sid       = "EncryptEnvelopes"
    actions   = ["kms:GenerateDataKey"]
    resources = [module.keys.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["kinesis.${var.region}.amazonaws.com"]
    }
  }
}

# Reloads committed gold.
data "aws_iam_policy_document" "reload" {
  statement {
    sid       = "ReadGold"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/gold/*"]
  }

  statement {
    sid       = "StartSilverToGold"
    actions   = ["states:StartExecution"]
    resources = [module.silver_to_gold.arn]
  }
}

module "control" {
  source = "./modules/function"

  name            = "control"
  description     = "Operator actions and scheduled ones: freshness, sweeps of what is owed."
  defaults        = local.function_defaults
  memory_mb       = 256
  timeout_seconds = 300
  policy          = data.aws_iam_policy_document.control.json

  environment = {
    SHOPS_PARAMETER_PATH        = local.shops_parameter_path
    SHOPS_KMS_KEY               = module.keys.secrets_key_arn
    LAKE_BUCKET                 = module.lake.bucket
    STREAM_PREFIX               = local.prefix
    FIREHOSE_BUFFER_SECONDS     = var.firehose_buffer_seconds
    BRONZE_TO_SILVER_ARN        = module.bronze_to_silver.arn
    SILVER_TO_GOLD_ARN          = module.silver_to_gold.arn
    CONFORM_FAILED_QUEUE_URL    = module.conform_failed.url
    DIRTY_DEAD_LETTER_QUEUE_URL = module.dirty_queue.dead_letter_queue_url
    ALERTS_TOPIC_ARN            = module.alerts.topic_arn
    DIRTY_QUEUE_URL             = module.dirty_queue.url
    WAREHOUSE_WORKGROUP         = local.warehouse_workgroup
    WAREHOUSE_DATABASE          = var.warehouse_database
    WAREHOUSE_COPY_ROLE_ARN     = module.warehouse_access.copy_role_arn
  }
}
