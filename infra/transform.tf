# A job -> a gold partition.

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
    sid       = "GiveLeasesBack"
    actions   = ["s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/jobs/*/running.json"]
  }

  statement {
    sid       = "AnnounceChanges"
    actions   = ["events:PutEvents"]
    resources = [module.dirty_queue.bus_arn]
  }
}

module "transform" {
  source = "./modules/function"

  name            = "transform"
  description     = "Computes one gold partition from a job document, checks it, commits it."
  defaults        = local.function_defaults
  memory_mb       = 3008 # The most that a new AWS account allows.
  timeout_seconds = 100  # Twice this and a load, with notify beside it, fit into the five minutes of an Express execution.
  ephemeral_mb    = 2048 # Where sorts and aggregations spill.
  policy          = data.aws_iam_policy_document.transform.json

  environment = {
    LAKE_BUCKET     = module.lake.bucket
    DIRTY_QUEUE_URL = module.dirty_queue.url
    EVENT_BUS       = module.dirty_queue.bus_name
  }
}
