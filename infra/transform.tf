# transform: a job to a gold partition.

data "aws_iam_policy_document" "transform" {
  source_policy_documents = [
    data.aws_iam_policy_document.lake_key.json,
    data.aws_iam_policy_document.list_partitions.json,
    data.aws_iam_policy_document.mark_dirty.json,
  ]

  statement {
    sid       = "ReadJobsAndInputs"
    actions   = ["s3:GetObject"]
    resources = [for prefix in ["jobs", "silver", "gold"] : "${module.lake.bucket_arn}/${prefix}/*"]
  }

  statement {
    sid       = "CommitGold"
    actions   = ["s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/gold/*"]
  }

  statement {
    sid       = "ReleaseLeases"
    actions   = ["s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/jobs/*/running.json"]
  }

  statement {
    sid       = "PublishChanges"
    actions   = ["events:PutEvents"]
    resources = [module.dirty_queue.bus_arn]
  }
}

module "transform" {
  source = "./modules/function"

  name            = "transform"
  description     = "Computes, checks and commits one gold partition by its job document."
  defaults        = local.function_defaults
  memory_mb       = 3008 # The limit of new AWS accounts.
  timeout_seconds = 100  # Two attempts and a load fit into an Express execution.
  ephemeral_mb    = 2048 # For spilling sorts and aggregations.
  policy          = data.aws_iam_policy_document.transform.json

  environment = {
    LAKE_BUCKET     = module.lake.bucket
    DIRTY_QUEUE_URL = module.dirty_queue.url
    EVENT_BUS       = module.dirty_queue.bus_name
  }
}
