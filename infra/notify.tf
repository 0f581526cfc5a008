# New rows of a gold partition -> people who want to know of them.

module "stock_alerts" {
  source = "./modules/alerts"

  name                = "${local.prefix}-stock-alerts"
  key_arn             = module.keys.data_key_arn
  email               = var.stock_alert_email
  publishing_services = [] # Only the function below, by its role.
}

data "aws_iam_policy_document" "notify" {
  source_policy_documents = [
    data.aws_iam_policy_document.lake_key.json,
    data.aws_iam_policy_document.topics_key.json,
  ]

  # Also for the 404 of a claim that is not there; see list_partitions.
  statement {
    sid       = "ListClaims"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["notices/*"]
    }
  }

  statement {
    sid       = "ReadRowsAndClaims"
    actions   = ["s3:GetObject"]
    resources = [for prefix in ["gold", "notices"] : "${module.lake.bucket_arn}/${prefix}/*"]
  }

  statement {
    sid       = "Claim"
    actions   = ["s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/notices/*"]
  }

  statement {
    sid       = "TellPeople"
    actions   = ["sns:Publish"]
    resources = [module.stock_alerts.topic_arn]
  }
}

module "notify" {
  source = "./modules/function"

  name            = "notify"
  description     = "Tells people of the new rows of one gold partition, of each once."
  defaults        = local.function_defaults
  memory_mb       = 512
  timeout_seconds = 30 # It stops in time, and the next attempt goes on with what is left.
  policy          = data.aws_iam_policy_document.notify.json

  environment = {
    LAKE_BUCKET         = module.lake.bucket
    TOPIC_ARN           = module.stock_alerts.topic_arn
    NOTIFY_WITHIN_HOURS = var.notify_within_hours
    NOTIFY_ENDED        = var.notify_ended
  }
}
