# The sources of dirty-partition messages: new objects, and events of committed models. Both go to
# one queue.

# A separate bus, so that environments in one account do not receive each other's events.
resource "aws_cloudwatch_event_bus" "this" {
  name = var.prefix
}

locals {
  name      = "${var.prefix}-dirty"
  rule_arns = [for rule in aws_cloudwatch_event_rule.this : rule.arn]

  rules = {
    object-created = {
      description = "New objects in silver, bronze of batch sources, and reference tables."
      bus         = "default" # S3 sends to the default bus only.
      pattern = {
        source        = ["aws.s3"]
        "detail-type" = ["Object Created"]
        detail = {
          bucket = { name = [var.lake_bucket] }
          object = { key = [for prefix in var.object_prefixes : { prefix = prefix }] }
        }
      }
    }
    partition-dirty = {
      description = "Committed partitions, which change the models that read them."
      bus         = aws_cloudwatch_event_bus.this.name
      pattern = {
        source        = ["shoplake"]
        "detail-type" = ["Partition Dirty"]
      }
    }
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = local.rules

  name           = "${var.prefix}-${each.key}"
  description    = each.value.description
  event_bus_name = each.value.bus
  event_pattern  = jsonencode(each.value.pattern)
}

# The address before the module was renamed. Without it, Terraform replaces the queue and loses its
# messages.
moved {
  from = module.dead_letters
  to   = module.dead_letter_queue
}

module "dead_letter_queue" {
  source = "../queue"

  name                 = "${var.prefix}-dirty-dlq"
  region               = var.region
  sending_rule_arns    = local.rule_arns
  dead_letter_queue_of = local.name
}

module "queue" {
  source = "../queue"

  name               = local.name
  region             = var.region
  visibility_seconds = var.visibility_seconds
  sending_rule_arns  = local.rule_arns

  dead_letter_queue = {
    queue_arn = module.dead_letter_queue.arn
    # dispatch hides a message that waits, which counts as a receive, and drops it after 20: its
    # partition's state says what is owed. More receives are failures.
    after_receives = 25
  }
}

# An undeliverable event goes to the same dead-letter queue as a failed message: the body is the
# same, and one redrive handles both.
resource "aws_cloudwatch_event_target" "this" {
  for_each = aws_cloudwatch_event_rule.this

  rule           = each.value.name
  event_bus_name = each.value.event_bus_name
  target_id      = "dirty-queue"
  arn            = module.queue.arn

  dead_letter_config {
    arn = module.dead_letter_queue.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }
}
