# The public edge, without a cloud: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment  = "test"
  packages_dir = "./tests/fixtures/packages"
}

run "the_web_acl_lets_events_through" {
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
    error_message = "A body is data, up to 3 MB of it: no rule of AWS's may block it."
  }
  assert {
    condition     = contains(local.groups["known-bad-inputs"].counts, "ReactJSRCE_BODY")
    error_message = "What a visitor types may look like an attack on any framework."
  }
  assert {
    condition     = alltrue([for rule in aws_wafv2_web_acl.this.rule : rule.visibility_config[0].cloudwatch_metrics_enabled && !rule.visibility_config[0].sampled_requests_enabled])
    error_message = "Every rule is to be counted, and none to keep samples, which would hold signatures."
  }
  assert {
    condition     = one([for rule in aws_wafv2_web_acl.this.rule : one(rule.statement[0].rate_based_statement[*].limit) if rule.name == "rate-per-ip"]) == 100
    error_message = "An address should be refused after requests_per_ip requests."
  }
  assert {
    condition = one([
      for rule in aws_wafv2_web_acl.this.rule : [one(rule.statement[0].rate_based_statement[*].limit), one(rule.statement[0].rate_based_statement[*].aggregate_key_type)] if rule.name == "rate-per-shop"
    ]) == [50, "CUSTOM_KEYS"]
    error_message = "An address should be refused after requests_per_shop requests that name one shop."
  }
  assert {
    condition = flatten([
      for filter in one(aws_wafv2_web_acl_logging_configuration.this.logging_filter[*].filter) : [for condition in filter.condition : condition.action_condition[*].action]
    ]) == ["BLOCK"]
    error_message = "A log of what is counted would be a log of every body above 8 KB."
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
    error_message = "The web ACL is there unless it is turned off."
  }
}

run "few_requests_of_an_address_are_as_few_of_its_shops" {
  command = plan

  variables {
    waf = { requests_per_ip = 5000 }
  }

  assert {
    condition     = length(module.waf) == 1
    error_message = "A lower limit of an address should not need one of its shops."
  }
}

run "more_requests_of_a_shop_than_of_its_address_are_refused" {
  command = plan

  variables {
    waf = { requests_per_ip = 5000, requests_per_shop = 5001 }
  }

  expect_failures = [var.waf]
}

run "the_local_cloud_has_none_of_it" {
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

run "limits_without_keys_are_refused" {
  command = plan

  variables {
    shop_limits = { acme = { rate = 50, burst = 100 } }
  }
  expect_failures = [var.shop_limits]
}

run "keys_without_limits_are_refused" {
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
    error_message = "Events need the shop's key; whether the API is healthy anybody may ask."
  }
  assert {
    condition     = jsondecode(local.body)["x-amazon-apigateway-security-policy"] == "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
    error_message = "The default endpoint should take no TLS below 1.2."
  }
}

run "nothing_is_asked_for_that_is_not_wanted" {
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
    error_message = "Then the function alone decides."
  }
}

run "a_custom_domain_closes_the_default_one" {
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
    error_message = "Who gave the API a name of its own wants no other."
  }
  assert {
    condition     = aws_api_gateway_deployment.this.triggers["closed"] == "true" && output.url == "https://events.example.com"
    error_message = "The default endpoint is closed by the next deployment only, and nobody should be sent there."
  }
  assert {
    condition     = aws_api_gateway_domain_name.this[0].security_policy == "TLS_1_2" && aws_route53_record.this[0].name == "events.example.com"
    error_message = "The domain takes TLS 1.2 and newer, and DNS points to it."
  }
}

run "a_budget_tells_before_it_is_spent" {
  command = plan

  variables {
    monthly_budget = { usd = 500, emails = ["cfo@example.com"] }
  }

  assert {
    condition     = toset([for notification in aws_budgets_budget.monthly[0].notification : notification.notification_type]) == toset(["ACTUAL", "FORECASTED"])
    error_message = "Somebody is told of what is spent, and of what will be."
  }
  assert {
    condition     = contains(local.alerting_services, "budgets.amazonaws.com")
    error_message = "AWS Budgets must be allowed to use the topic and its key, or nobody hears of it."
  }
}
