# Limits by shop. The stage's throttle limits all shops together.

resource "aws_api_gateway_usage_plan" "this" {
  for_each = var.shop_limits

  name        = "${var.name}-${each.key}"
  description = "Limits of the shop ${each.key}."

  api_stages {
    api_id = aws_api_gateway_rest_api.this.id
    stage  = aws_api_gateway_stage.this.stage_name
  }

  throttle_settings {
    rate_limit  = each.value.rate
    burst_limit = each.value.burst
  }

  dynamic "quota_settings" {
    for_each = each.value.quota == null ? [] : [each.value.quota]

    content {
      limit  = quota_settings.value.requests
      period = quota_settings.value.per
    }
  }
}

# API Gateway generates the key. It may be in Terraform's state, because it grants nothing without a
# signature.
resource "aws_api_gateway_api_key" "this" {
  for_each = var.shop_limits

  name        = "${var.name}-${each.key}"
  description = "Counts the requests of the shop ${each.key}."
}

resource "aws_api_gateway_usage_plan_key" "this" {
  for_each = var.shop_limits

  key_id        = aws_api_gateway_api_key.this[each.key].id
  key_type      = "API_KEY"
  usage_plan_id = aws_api_gateway_usage_plan.this[each.key].id
}
