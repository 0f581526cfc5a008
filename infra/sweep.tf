# The sweep: what a lost message, a killed execution or an absent warehouse has left is in the
# states of partitions, and control sends it. It also conforms bronze objects without a receipt, and
# alerts the operator to those that stay without one.

data "aws_iam_policy_document" "sweep" {
  source_policy_documents = [
    data.aws_iam_policy_document.partition_states.json,
    data.aws_iam_policy_document.free_run_slots.json,
  ]

  statement {
    sid       = "ListWhatIsOwed"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values = [
        "gold/*",
        "state/partitions/*",
        "state/owed/*",
        "state/conformed/*",
        "state/unconformed/*",
      ]
    }
  }

  statement {
    sid       = "DeleteMarkers"
    actions   = ["s3:DeleteObject"]
    resources = ["${module.lake.bucket_arn}/state/owed/*"]
  }

  statement {
    sid       = "KeepProgress"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/state/sweep.json"]
  }

  statement {
    sid       = "RememberUnconformedObjects"
    actions   = ["s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/state/unconformed/*"]
  }
}

resource "aws_cloudwatch_event_rule" "sweep" {
  name                = "${local.prefix}-sweep"
  description         = "Sends what partitions owe, and finds what their states do not know."
  schedule_expression = var.sweep_schedule
}

resource "aws_cloudwatch_event_target" "sweep" {
  rule      = aws_cloudwatch_event_rule.sweep.name
  target_id = "control"
  arn       = module.control.arn
  input     = jsonencode({ action = "sweep" })

  # A late sweep is useless: the next one is due.
  retry_policy {
    maximum_event_age_in_seconds = 300
    maximum_retry_attempts       = 3
  }

  dynamic "dead_letter_config" {
    for_each = module.control_failed

    content {
      arn = dead_letter_config.value.arn
    }
  }
}

resource "aws_lambda_permission" "sweep" {
  statement_id  = "Sweep"
  action        = "lambda:InvokeFunction"
  function_name = module.control.name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.sweep.arn
}
