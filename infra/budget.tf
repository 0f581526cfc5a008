# Alerts on actual and forecast costs.

resource "aws_budgets_budget" "monthly" {
  count = local.aws && var.monthly_budget != null ? 1 : 0

  name         = "${local.prefix}-monthly"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_unit   = "USD"
  limit_amount = var.monthly_budget.usd

  dynamic "cost_filter" {
    for_each = var.monthly_budget.only_this_environment ? [true] : []

    content {
      name   = "TagKeyValue"
      values = [format("user:Environment$%s", var.environment)]
    }
  }

  dynamic "notification" {
    for_each = {
      spent-most = { type = "ACTUAL", percent = 80 }
      spent-all  = { type = "ACTUAL", percent = 100 }
      will-spend = { type = "FORECASTED", percent = 100 }
    }

    content {
      notification_type          = notification.value.type
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value.percent
      threshold_type             = "PERCENTAGE"
      subscriber_sns_topic_arns  = [module.alerts.topic_arn]
      subscriber_email_addresses = var.monthly_budget.emails
    }
  }
}
