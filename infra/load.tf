# load: a gold partition to the warehouse. The warehouse reads the rows, the function does not.

data "aws_iam_policy_document" "load" {
  source_policy_documents = [
    module.warehouse_access.send_sql_policy,
    data.aws_iam_policy_document.lake_key.json,
    data.aws_iam_policy_document.partition_states.json,
  ]

  # For the 404 of a missing state; see list_partitions.
  statement {
    sid       = "FindPartitionStates"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["state/partitions/*"]
    }
  }
}

module "load" {
  source = "./modules/function"

  name            = "load"
  description     = "Loads a gold partition and its check results into the warehouse."
  defaults        = local.function_defaults
  memory_mb       = 256
  timeout_seconds = 60
  policy          = data.aws_iam_policy_document.load.json

  environment = {
    LAKE_BUCKET             = module.lake.bucket
    WAREHOUSE_WORKGROUP     = local.warehouse_workgroup
    WAREHOUSE_DATABASE      = var.warehouse_database
    WAREHOUSE_COPY_ROLE_ARN = module.warehouse_access.copy_role_arn
  }
}
