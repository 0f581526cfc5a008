# POST -> signature, contract -> stream.

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

  statement {
    sid       = "ReadShopsSecrets"
    actions   = ["ssm:GetParametersByPath"]
    resources = ["${local.shops_parameter_arn}/*"]
  }

  statement {
    sid       = "DecryptShopsSecrets"
    actions   = ["kms:Decrypt"]
    resources = [module.keys.secrets_key_arn]

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:PARAMETER_ARN"
      values   = ["${local.shops_parameter_arn}/*"]
    }
  }
}

module "webhook" {
  source = "./modules/function"

  name            = "webhook"
  description     = "Takes events by HTTP, checks signature and contract, puts them on their source's stream."
  defaults        = local.function_defaults
  memory_mb       = 512
  timeout_seconds = 20 # Retries of the stream end after 10 seconds; API Gateway gives up after 29.
  policy          = data.aws_iam_policy_document.webhook.json

  environment = {
    STREAM_PREFIX        = local.prefix
    SHOPS_PARAMETER_PATH = local.shops_parameter_path
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
  # LocalStack would answer in its own form.
  required_headers   = var.local ? [] : ["x-shop-id", "webhook-id", "webhook-timestamp", "webhook-signature"]
  tls_policy         = var.local ? null : "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
  log_retention_days = var.log_retention_days
  log_key_arn        = module.keys.data_key_arn
}
