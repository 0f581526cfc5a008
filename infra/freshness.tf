# The freshness check: a dataset that stops arriving causes no failure, so control checks it.

data "aws_iam_policy_document" "freshness" {
  source_policy_documents = [data.aws_iam_policy_document.topics_key.json]

  # Also for the 404 of a dataset without a state; see list_partitions. The sweep's policy lists
  # gold, which has the batches that stay incomplete.
  statement {
    sid       = "ListSilver"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["silver/*", "state/freshness/*"]
    }
  }

  statement {
    sid       = "WriteFreshnessState"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/state/freshness/*"]
  }

  statement {
    sid       = "PublishAlerts"
    actions   = ["sns:Publish"]
    resources = [module.alerts.topic_arn]
  }
}

resource "aws_cloudwatch_event_rule" "freshness" {
  name                = "${local.prefix}-check-freshness"
  description         = "Checks every dataset with fresh_within in its contract."
  schedule_expression = var.freshness_schedule
}

resource "aws_cloudwatch_event_target" "freshness" {
  rule      = aws_cloudwatch_event_rule.freshness.name
  target_id = "control"
  arn       = module.control.arn
  input     = jsonencode({ action = "check_freshness" })

  # A late check is useless: the next one is due.
  retry_policy {
    maximum_event_age_in_seconds = 900
    maximum_retry_attempts       = 3
  }

  dynamic "dead_letter_config" {
    for_each = module.control_failed

    content {
      arn = dead_letter_config.value.arn
    }
  }
}

# Dead-letter queue of scheduled actions, which are asynchronous.
module "control_failed" {
  source = "./modules/queue"
  count  = local.aws ? 1 : 0

  name              = "${local.prefix}-control-failed"
  region            = var.region
  sending_rule_arns = [aws_cloudwatch_event_rule.freshness.arn, aws_cloudwatch_event_rule.sweep.arn]
}

data "aws_iam_policy_document" "control_failed" {
  count = local.aws ? 1 : 0

  statement {
    sid       = "SendToDeadLetterQueue"
    actions   = ["sqs:SendMessage"]
    resources = [module.control_failed[0].arn]
  }
}

resource "aws_lambda_function_event_invoke_config" "control" {
  count = local.aws ? 1 : 0

  function_name                = module.control.name
  maximum_event_age_in_seconds = 900
  maximum_retry_attempts       = 2

  destination_config {
    on_failure {
      destination = module.control_failed[0].arn
    }
  }
}

resource "aws_lambda_permission" "freshness" {
  statement_id  = "CheckFreshness"
  action        = "lambda:InvokeFunction"
  function_name = module.control.name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.freshness.arn
}
