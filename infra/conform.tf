# conform: stream records or a bronze object to silver and quarantine.

data "aws_iam_policy_document" "conform" {
  source_policy_documents = [data.aws_iam_policy_document.lake_key.json]

  statement {
    sid = "ReadStreams"
    actions = [
      "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetShardIterator", "kinesis:GetRecords", "kinesis:ListShards",
    ]
    resources = [for source in local.stream_sources : module.source[source].stream_arn]
  }

  statement {
    sid       = "DecryptStreams"
    actions   = ["kms:Decrypt"]
    resources = [module.keys.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["kinesis.${var.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "ReadBronze"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/bronze/*"]
  }

  # For the 404 of a missing object; see list_partitions.
  statement {
    sid       = "ListBronze"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["bronze/*"]
    }
  }

  statement {
    sid     = "WriteSilverAndQuarantine"
    actions = ["s3:PutObject"]
    resources = [
      "${module.lake.bucket_arn}/silver/*",
      "${module.lake.bucket_arn}/quarantine/*",
      "${module.lake.bucket_arn}/state/conformed/*",
    ]
  }

  statement {
    sid       = "SendToDeadLetterQueue"
    actions   = ["sqs:SendMessage"]
    resources = [module.conform_failed.arn]
  }
}

module "conform" {
  source = "./modules/function"

  name            = "conform"
  description     = "Validates envelopes by contract, writes silver and quarantine."
  defaults        = local.function_defaults
  memory_mb       = 1769 # One core.
  timeout_seconds = 120
  policy          = data.aws_iam_policy_document.conform.json

  reserved_concurrency = var.reserved_concurrency.conform

  environment = {
    LAKE_BUCKET = module.lake.bucket
  }
}

# A message has the position of the batch (stream, shard, sequence numbers). The records are in the
# stream and in bronze.
module "conform_failed" {
  source = "./modules/queue"

  name   = "${local.prefix}-conform-failed"
  region = var.region
}

resource "aws_lambda_event_source_mapping" "conform" {
  for_each = local.stream_sources

  event_source_arn  = module.source[each.key].stream_arn
  function_name     = module.conform.arn
  starting_position = "TRIM_HORIZON"

  batch_size                         = var.conform_batches.size
  maximum_batching_window_in_seconds = var.conform_batches.window_seconds
  parallelization_factor             = var.conform_batches.parallelization

  # A failing batch is split until the failing record is alone, which then goes to the dead-letter
  # queue, so that it does not block its shard until the records behind it expire.
  function_response_types        = ["ReportBatchItemFailures"]
  bisect_batch_on_function_error = true
  maximum_retry_attempts         = var.conform_batches.retries
  maximum_record_age_in_seconds  = var.conform_batches.max_age_seconds

  destination_config {
    on_failure {
      destination_arn = module.conform_failed.arn
    }
  }
}
