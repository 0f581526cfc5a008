# The public edge, without a cloud: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment  = "test"
  packages_dir = "./tests/fixtures/packages"
}

run "web_acl_allows_events" {
  command = plan

  variables {
    name               = "test"
    region             = "us-east-1"
    stage_arn          = "arn:aws:apigateway:us-east-1::/restapis/x/stages/api"
    requests_per_ip    = 100
    requests_per_shop  = 50
    log_retention_days = 1
    log_key_arn        = "arn:aws:kms:us-east-1:000000000000:key/x"
  }
  module {
    source = "./modules/waf"
  }

  assert {
    condition = alltrue([
      for rule in ["SizeRestrictions_BODY", "CrossSiteScripting_BODY", "GenericLFI_BODY", "GenericRFI_BODY", "EC2MetaDataSSRF_BODY"] :
      contains(local.groups["common"].counts, rule)
    ])
    error_message = "No rule of AWS should block by the body, which has up to 3 MB."
  }
  assert {
    condition     = contains(local.groups["known-bad-inputs"].counts, "ReactJSRCE_BODY")
    error_message = "Rules for frameworks should not block bodies."
  }
  assert {
    condition     = alltrue([for rule in aws_wafv2_web_acl.this.rule : rule.visibility_config[0].cloudwatch_metrics_enabled && !rule.visibility_config[0].sampled_requests_enabled])
    error_message = "Every rule should have a metric, and no samples, which contain signatures."
  }
  assert {
    condition     = one([for rule in aws_wafv2_web_acl.this.rule : one(rule.statement[0].rate_based_statement[*].limit) if rule.name == "rate-per-ip"]) == 100
    error_message = "An address should be blocked after requests_per_ip requests."
  }
  assert {
    condition = one([
      for rule in aws_wafv2_web_acl.this.rule : [one(rule.statement[0].rate_based_statement[*].limit), one(rule.statement[0].rate_based_statement[*].aggregate_key_type)] if rule.name == "rate-per-shop"
    ]) == [50, "CUSTOM_KEYS"]
    error_message = "An address should be blocked after requests_per_shop requests that name one shop."
  }
  assert {
    condition = flatten([
      for filter in one(aws_wafv2_web_acl_logging_configuration.this.logging_filter[*].filter) : [for condition in filter.condition : condition.action_condition[*].action]
    ]) == ["BLOCK"]
    error_message = "Counted requests should not be logged."
  }
  assert {
    condition     = contains(flatten([for field in aws_wafv2_web_acl_logging_configuration.this.redacted_fields : field.single_header[*].name]), "webhook-signature")
    error_message = "A signature must not be in a log."
  }
  assert {
    condition     = startswith(aws_cloudwatch_log_group.this.name, "aws-waf-logs-") && aws_cloudwatch_log_group.this.kms_key_id != null
    error_message = "WAF logs only to encrypted groups called aws-waf-logs-..."
  }
}

run "on_aws_there_is_a_web_acl" {
  command = plan

  assert {
    condition     = length(module.waf) == 1
    error_message = "The web ACL should exist by default."
  }
}

run "lower_limit_by_address_also_limits_shops" {
  command = plan

  variables {
    waf = { requests_per_ip = 5000 }
  }

  assert {
    condition     = length(module.waf) == 1
    error_message = "A lower limit of an address should not need one of its shops."
  }
}

run "limit_by_shop_above_address_is_rejected" {
  command = plan

  variables {
    waf = { requests_per_ip = 5000, requests_per_shop = 5001 }
  }

  expect_failures = [var.waf]
}

run "the_local_cloud_has_no_web_acl" {
  command = plan

  variables {
    local          = true
    monthly_budget = { usd = 100 }
  }

  assert {
    condition     = length(module.waf) + length(aws_budgets_budget.monthly) + length(module.alarms) + length(module.dashboard) == 0
    error_message = "LocalStack has no WAF, no budgets and no dashboards."
  }
}

run "shops_with_limits_need_keys" {
  command = plan

  variables {
    api_key_required = true
    shop_limits = {
      acme = { rate = 50, burst = 100, quota = { requests = 1000000, per = "MONTH" } }
      zoo  = { rate = 5, burst = 10 }
    }
  }

  assert {
    condition     = module.api.limited_shops == toset(["acme", "zoo"])
    error_message = "Each shop in shop_limits gets a plan and a key of its own."
  }
}

run "limits_without_keys_are_rejected" {
  command = plan

  variables {
    shop_limits = { acme = { rate = 50, burst = 100 } }
  }
  expect_failures = [var.shop_limits]
}

run "old_day_limit_of_zero_is_rejected" {
  command = plan

  variables {
    old_day_limits = { computed = 0 }
  }
  expect_failures = [var.old_day_limits]
}

run "keys_without_limits_are_rejected" {
  command = plan

  variables {
    api_key_required = true
  }
  expect_failures = [var.shop_limits]
}

run "events_need_a_key_only_where_shops_have_limits" {
  command = plan

  variables {
    name                = "test"
    function_name       = "webhook"
    function_invoke_arn = "arn:aws:apigateway:us-east-1:lambda:path/x"
    throttle            = { rate = 1, burst = 1 }
    tls_policy          = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
    log_retention_days  = 1
    log_key_arn         = "arn:aws:kms:us-east-1:000000000000:key/x"
    requires_api_key    = true
    shop_limits         = { acme = { rate = 5, burst = 10 } }
    custom_domain       = null
  }
  module {
    source = "./modules/api"
  }

  assert {
    condition     = jsondecode(local.body).paths["/v1/events/{dataset}"].post.security == [{ shop_key = [] }] && !can(jsondecode(local.body).paths["/v1/health"].get.security)
    error_message = "Events should need the shop's key, the health check should not."
  }
  assert {
    condition     = jsondecode(local.body)["x-amazon-apigateway-security-policy"] == "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
    error_message = "The default endpoint should take no TLS below 1.2."
  }
}

run "defaults_have_no_keys_and_domain" {
  command = plan

  variables {
    name                = "test"
    function_name       = "webhook"
    function_invoke_arn = "arn:aws:apigateway:us-east-1:lambda:path/x"
    throttle            = { rate = 1, burst = 1 }
    tls_policy          = null
    log_retention_days  = 1
    log_key_arn         = "arn:aws:kms:us-east-1:000000000000:key/x"
    requires_api_key    = false
    shop_limits         = {}
    custom_domain       = null
  }
  module {
    source = "./modules/api"
  }

  assert {
    condition     = !strcontains(local.body, "request-validator") && !strcontains(local.body, "shop_key") && !strcontains(local.body, "security-policy")
    error_message = "By default only the function should check requests."
  }
}

run "custom_domain_disables_the_default_endpoint" {
  command = plan

  variables {
    name                = "test"
    function_name       = "webhook"
    function_invoke_arn = "arn:aws:apigateway:us-east-1:lambda:path/x"
    throttle            = { rate = 1, burst = 1 }
    tls_policy          = null
    log_retention_days  = 1
    log_key_arn         = "arn:aws:kms:us-east-1:000000000000:key/x"
    requires_api_key    = false
    shop_limits         = {}
    custom_domain = {
      name            = "events.example.com"
      certificate_arn = "arn:aws:acm:us-east-1:000000000000:certificate/x"
      zone_id         = "Z1"
    }
  }
  module {
    source = "./modules/api"
  }

  assert {
    condition     = aws_api_gateway_rest_api.this.disable_execute_api_endpoint == true
    error_message = "The default endpoint should be disabled with a custom domain."
  }
  assert {
    condition     = aws_api_gateway_deployment.this.triggers["closed"] == "true" && output.url == "https://events.example.com"
    error_message = "The default endpoint should be disabled, and URLs should use the domain."
  }
  assert {
    condition     = aws_api_gateway_domain_name.this[0].security_policy == "TLS_1_2" && aws_route53_record.this[0].name == "events.example.com"
    error_message = "The domain takes TLS 1.2 and newer, and DNS points to it."
  }
}

run "budget_alerts_before_it_is_spent" {
  command = plan

  variables {
    monthly_budget = { usd = 500, emails = ["cfo@example.com"] }
  }

  assert {
    condition     = toset([for notification in aws_budgets_budget.monthly[0].notification : notification.notification_type]) == toset(["ACTUAL", "FORECASTED"])
    error_message = "The budget should alert on actual and forecast costs."
  }
  assert {
    condition     = contains(local.alerting_services, "budgets.amazonaws.com")
    error_message = "AWS Budgets should have access to the topic and its key."
  }
}
