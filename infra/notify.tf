# notify: notifications of new rows of a gold partition.

module "stock_alerts" {
  source = "./modules/alerts"

  name                = "${local.prefix}-stock-alerts"
  key_arn             = module.keys.data_key_arn
  email               = var.stock_alert_email
  publishing_services = [] # Only the function below publishes, by its role.
}

data "aws_iam_policy_document" "notify" {
  source_policy_documents = [
    data.aws_iam_policy_document.lake_key.json,
    data.aws_iam_policy_document.topics_key.json,
    data.aws_iam_policy_document.partition_states.json,
  ]

  # Claims from before 2026-11-30 are in notices/ (former_alerts in crates/lake/src/keys.rs). Also
  # for the 404 of a missing claim; see list_partitions.
  statement {
    sid       = "ListClaims"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["alerts/*", "notices/*"]
    }
  }

  statement {
    sid       = "ReadRowsAndClaims"
    actions   = ["s3:GetObject"]
    resources = [for prefix in ["gold", "alerts", "notices"] : "${module.lake.bucket_arn}/${prefix}/*"]
  }

  statement {
    sid       = "WriteClaims"
    actions   = ["s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/alerts/*"]
  }

  # Not claims: without its claim, a notification is published again.
  statement {
    sid     = "DeleteWaitingRowsAndProgress"
    actions = ["s3:DeleteObject"]
    resources = [
      for objects in ["alerts/*/waiting/*", "alerts/*/progress/*", "notices/*/waiting/*"] :
      "${module.lake.bucket_arn}/${objects}"
    ]
  }

  statement {
    sid       = "PublishNotifications"
    actions   = ["sns:Publish"]
    resources = [module.stock_alerts.topic_arn]
  }
}

module "notify" {
  source = "./modules/function"

  name            = "notify"
  description     = "Publishes one notification for each new row of a gold partition."
  defaults        = local.function_defaults
  memory_mb       = 512
  timeout_seconds = 30 # It stops before; the next attempt continues with the rows that are left.
  policy          = data.aws_iam_policy_document.notify.json

  environment = {
    LAKE_BUCKET         = module.lake.bucket
    TOPIC_ARN           = module.stock_alerts.topic_arn
    NOTIFY_WITHIN_HOURS = var.notify_within_hours
    NOTIFY_ENDED        = var.notify_ended
  }
}
