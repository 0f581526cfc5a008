# dispatch: dirty-partition messages to jobs and executions.

locals {
  dispatch_timeout_seconds = 60
}

module "dirty_queue" {
  source = "./modules/dirty-queue"

  prefix          = local.prefix
  region          = var.region
  lake_bucket     = module.lake.bucket
  object_prefixes = concat(["silver/", "reference/"], [for source in local.batch_sources : "bronze/${source}/"])

  # AWS recommends six times the function's timeout, plus the batch window.
  visibility_seconds = 6 * local.dispatch_timeout_seconds + var.dispatch_batches.window_seconds
}

data "aws_iam_policy_document" "dispatch" {
  source_policy_documents = [
    data.aws_iam_policy_document.lake_key.json,
    data.aws_iam_policy_document.list_partitions.json,
    data.aws_iam_policy_document.partition_states.json,
    data.aws_iam_policy_document.free_run_slots.json,
    data.aws_iam_policy_document.publish_dirty.json,
  ]

  # A message that waits becomes visible later. dispatch sends none to its own queue: Lambda would
  # take that for a loop.
  statement {
    sid       = "ReceiveDirtyMessages"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"]
    resources = [module.dirty_queue.arn]
  }

  statement {
    sid     = "ReadGoldAndReferenceTables"
    actions = ["s3:GetObject"]
    resources = [
      "${module.lake.bucket_arn}/gold/*",
      "${module.lake.bucket_arn}/reference/*",
    ]
  }

  # The metadata of an old object names the shops of its rows, which take turns.
  statement {
    sid       = "LookAtSilver"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/silver/*"]
  }

  statement {
    sid       = "TakeTurns"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/state/old-days/*"]
  }

  statement {
    sid       = "WriteJobsAndTakeRunSlots"
    actions   = ["s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/jobs/*", "${module.lake.bucket_arn}/state/runs/*"]
  }

  # For recently planned partitions, which an edited reference table makes dirty.
  statement {
    sid       = "ListJobsStatesAndRunSlots"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["jobs/*", "state/partitions/*", "state/runs/*"]
    }
  }

  statement {
    sid       = "StartExecutions"
    actions   = ["states:StartExecution"]
    resources = concat([module.bronze_to_silver.arn, module.silver_to_gold.arn], module.silver_to_gold_glue[*].arn)
  }
}

module "dispatch" {
  source = "./modules/function"

  name            = "dispatch"
  description     = "Plans jobs for dirty partitions and starts their executions."
  defaults        = local.function_defaults
  memory_mb       = 512
  timeout_seconds = local.dispatch_timeout_seconds
  policy          = data.aws_iam_policy_document.dispatch.json

  environment = {
    LAKE_BUCKET          = module.lake.bucket
    DIRTY_QUEUE_URL      = module.dirty_queue.url
    BRONZE_TO_SILVER_ARN = module.bronze_to_silver.arn
    SILVER_TO_GOLD_ARN   = module.silver_to_gold.arn

    # Empty without Glue: then every job runs in a function.
    SILVER_TO_GOLD_GLUE_ARN = join("", module.silver_to_gold_glue[*].arn)
    GLUE_ABOVE_BYTES        = var.glue_above_mb * 1024 * 1024
    MAX_GLUE_RUNS           = length(module.silver_to_gold_glue) * var.glue.concurrent_runs

    EVENT_BUS         = module.dirty_queue.bus_name
    MAX_RUNS          = var.max_runs
    OLD_DAYS_PER_HOUR = var.old_day_limits.computed
  }
}

resource "aws_lambda_event_source_mapping" "dispatch" {
  event_source_arn = module.dirty_queue.arn
  function_name    = module.dispatch.arn

  batch_size                         = var.dispatch_batches.size
  maximum_batching_window_in_seconds = var.dispatch_batches.window_seconds
  function_response_types            = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.dispatch_batches.concurrency
  }
}
