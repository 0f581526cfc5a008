# What an operator does: migrations, shops and their secrets, backfills. Invoked by hand.

data "aws_iam_policy_document" "control" {
  source_policy_documents = [
    module.warehouse_access.send_sql_policy,
    data.aws_iam_policy_document.mark_dirty.json,
  ]

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

module "control" {
  source = "./modules/function"

  name            = "control"
  description     = "Migrates the warehouse, adds shops, rotates secrets, starts backfills."
  defaults        = local.function_defaults
  memory_mb       = 256
  timeout_seconds = 300
  policy          = data.aws_iam_policy_document.control.json

  environment = {
    SHOPS_PARAMETER_PATH    = local.shops_parameter_path
    SHOPS_KMS_KEY           = module.keys.secrets_key_arn
    DIRTY_QUEUE_URL         = module.dirty_queue.url
    WAREHOUSE_WORKGROUP     = local.warehouse_workgroup
    WAREHOUSE_DATABASE      = var.warehouse_database
    WAREHOUSE_COPY_ROLE_ARN = module.warehouse_access.copy_role_arn
  }
}
