# What an operator does: migrations, shops and their secrets, backfills, reloads, reference tables,
# redrives. Invoked by hand.

data "aws_iam_policy_document" "control" {
  source_policy_documents = concat([
    module.warehouse_access.send_sql_policy,
    data.aws_iam_policy_document.mark_dirty.json,
    data.aws_iam_policy_document.redrive.json,
    data.aws_iam_policy_document.reload.json,
    data.aws_iam_policy_document.lake_key.json,
    data.aws_iam_policy_document.freshness.json,
  ], data.aws_iam_policy_document.control_failed[*].json)

  statement {
    sid       = "EditReferenceTables"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/reference/*"]
  }

  # The webhook reads it; writes are conditional.
  statement {
    sid       = "EditTheListOfShops"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/shops/shops.json"]
  }

  # For the 404 of a list that was never written; see list_partitions.
  statement {
    sid       = "FindTheListOfShops"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["shops/*"]
    }
  }

  # Names only, to write the list from what is there.
  statement {
    sid       = "ListShopsSecrets"
    actions   = ["ssm:GetParametersByPath"]
    resources = [local.shops_parameter_arn, "${local.shops_parameter_arn}/*"]
  }

  # Reading is for a rotation, where the current secret becomes the previous one.
  statement {
    sid       = "KeepShopsSecrets"
    actions   = ["ssm:GetParameter", "ssm:PutParameter"]
    resources = ["${local.shops_parameter_arn}/*"]
  }

  statement {
    sid       = "EncryptShopsSecrets"
    actions   = ["kms:Encrypt", "kms:Decrypt"]
    resources = [module.keys.secrets_key_arn]

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:PARAMETER_ARN"
      values   = ["${local.shops_parameter_arn}/*"]
    }
  }
}

# What failed is taken from where it waits, and done again.
data "aws_iam_policy_document" "redrive" {
  statement {
    sid       = "TakeLetters"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
    resources = [module.dirty_queue.dead_letters_arn, module.conform_failed.arn]
  }

  # Also for the 404 of a reference table that nobody has edited, and of a day without gold; see
  # list_partitions.
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
    sid       = "ConformAgain"
    actions   = ["states:StartExecution"]
    resources = [module.bronze_to_silver.arn]
  }

  statement {
    sid       = "PutEnvelopesAgain"
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

# What gold holds is handed over to be loaded once more.
data "aws_iam_policy_document" "reload" {
  statement {
    sid       = "ReadGold"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/gold/*"]
  }

  statement {
    sid       = "LoadAgain"
    actions   = ["states:StartExecution"]
    resources = [module.silver_to_gold.arn]
  }
}

module "control" {
  source = "./modules/function"

  name            = "control"
  description     = "Migrates the warehouse, adds shops, rotates secrets, edits reference tables, starts backfills, reloads and redrives, looks whether data arrives."
  defaults        = local.function_defaults
  memory_mb       = 256
  timeout_seconds = 300
  policy          = data.aws_iam_policy_document.control.json

  environment = {
    SHOPS_PARAMETER_PATH     = local.shops_parameter_path
    SHOPS_KMS_KEY            = module.keys.secrets_key_arn
    LAKE_BUCKET              = module.lake.bucket
    STREAM_PREFIX            = local.prefix
    FIREHOSE_BUFFER_SECONDS  = var.firehose_buffer_seconds
    BRONZE_TO_SILVER_ARN     = module.bronze_to_silver.arn
    SILVER_TO_GOLD_ARN       = module.silver_to_gold.arn
    CONFORM_FAILED_QUEUE_URL = module.conform_failed.url
    DIRTY_DEAD_LETTERS_URL   = module.dirty_queue.dead_letters_url
    ALERTS_TOPIC_ARN         = module.alerts.topic_arn
    DIRTY_QUEUE_URL          = module.dirty_queue.url
    WAREHOUSE_WORKGROUP      = local.warehouse_workgroup
    WAREHOUSE_DATABASE       = var.warehouse_database
    WAREHOUSE_COPY_ROLE_ARN  = module.warehouse_access.copy_role_arn
  }
}
