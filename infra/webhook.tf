# webhook: POST, signature, contract, stream.

data "aws_iam_policy_document" "webhook" {
  statement {
    sid       = "PutRecords"
    actions   = ["kinesis:PutRecords"]
    resources = [for source in local.stream_sources : module.source[source].stream_arn]
  }

  statement {
    sid       = "EncryptRecords"
    actions   = ["kms:GenerateDataKey"]
    resources = [module.keys.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["kinesis.${var.region}.amazonaws.com"]
    }
  }

  # By name: a shop's current and previous secret.
  statement {
    sid       = "ReadShopSecrets"
    actions   = ["ssm:GetParameters"]
    resources = ["${local.shops_parameter_arn}/*"]
  }

  statement {
    sid       = "DecryptShopSecrets"
    actions   = ["kms:Decrypt"]
    resources = [module.keys.secrets_key_arn]

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:PARAMETER_ARN"
      values   = ["${local.shops_parameter_arn}/*"]
    }
  }

  # The list of shops, so that unknown shop ids cause no reads of secrets.
  statement {
    sid       = "ReadShopList"
    actions   = ["s3:GetObject"]
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

  statement {
    sid       = "DecryptShopList"
    actions   = ["kms:Decrypt"]
    resources = [module.keys.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}

module "webhook" {
  source = "./modules/function"

  name            = "webhook"
  description     = "Receives events by HTTP, validates them, writes them to their stream."
  defaults        = local.function_defaults
  memory_mb       = 512
  timeout_seconds = 20 # Stream retries end after 10 s, API Gateway times out after 29 s.
  policy          = data.aws_iam_policy_document.webhook.json

  reserved_concurrency = var.reserved_concurrency.webhook

  environment = {
    LAKE_BUCKET             = module.lake.bucket
    STREAM_PREFIX           = local.prefix
    SHOPS_PARAMETER_PATH    = local.shops_parameter_path
    NEW_PARTITIONS_PER_HOUR = var.old_day_limits.accepted
  }
}

module "api" {
  source = "./modules/api"

  name                = local.prefix
  function_name       = module.webhook.name
  function_invoke_arn = module.webhook.invoke_arn
  throttle            = var.api_throttle
  requires_api_key    = var.api_key_required
  shop_limits         = var.shop_limits
  custom_domain       = var.custom_domain
  tls_policy          = var.local ? null : "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
  log_retention_days  = var.log_retention_days
  log_key_arn         = module.keys.data_key_arn
}

# Failed reads of secrets and of the list of shops appear only in the function's log: Parameter
# Store has no metric of throttling. The pattern matches the messages in functions/webhook.
resource "aws_cloudwatch_log_metric_filter" "secrets_unavailable" {
  count = local.aws ? 1 : 0

  name           = "${local.prefix}-secrets-unavailable"
  log_group_name = module.webhook.log_group_name
  pattern        = "?\"secrets unavailable\" ?\"the list of shops\""

  metric_transformation {
    name      = "secrets-unavailable"
    namespace = "Shoplake/Logs/${local.prefix}"
    value     = "1"
  }
}
