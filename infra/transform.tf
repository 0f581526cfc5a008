# transform: a job to a gold partition.

data "aws_iam_policy_document" "transform" {
  source_policy_documents = [
    data.aws_iam_policy_document.lake_key.json,
    data.aws_iam_policy_document.list_partitions.json,
    data.aws_iam_policy_document.partition_states.json,
    data.aws_iam_policy_document.free_run_slots.json,
    data.aws_iam_policy_document.publish_dirty.json,
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
    LAKE_BUCKET = module.lake.bucket
    EVENT_BUS   = module.dirty_queue.bus_name
  }
}
