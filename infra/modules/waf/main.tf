# A web ACL against floods and probes. The function validates signatures and contents.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  # AWS's rule groups. Rules that inspect a body only count: a body is data of a shop's visitors,
  # and no component builds a command, a path or SQL from it.
  #
  # Versions are pinned, because a new one may add a rule that blocks bodies. To update: read AWS's
  # changelog of managed rules, list the group's rules with `aws wafv2 describe-managed-rule-group
  # --scope REGIONAL --vendor-name AWS --name <group> --version-name <version>`, and write them into
  # tests/infra/waf_rules.toml. A test names each body rule that does not count yet. The reputation
  # list has no versions.
  groups = {
    ip-reputation = {
      priority = 10
      name     = "AWSManagedRulesAmazonIpReputationList"
      version  = null
      counts   = []
    }
    known-bad-inputs = {
      priority = 20
      name     = "AWSManagedRulesKnownBadInputsRuleSet"
      version  = "Version_1.24"
      counts   = ["JavaDeserializationRCE_BODY", "Log4JRCE_BODY", "ReactJSRCE_BODY"]
    }
    common = {
      priority = 30
      name     = "AWSManagedRulesCommonRuleSet"
      version  = "Version_1.19"
      counts = [
        "SizeRestrictions_BODY", # Blocks above 8 KB; requests have up to 3 MB.
        "NoUserAgent_HEADER",    # Signed requests need no user agent.
        "CrossSiteScripting_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
      ]
    }
  }

  # Rate limits of a sender. The shop id is combined with the address: a limit by shop id alone
  # would let an attacker block the shop.
  rates = {
    rate-per-ip = {
      priority = 0
      limit    = var.requests_per_ip
      keys     = "IP"
      title    = "Too many requests from one address"
    }
    rate-per-shop = {
      priority = 1
      limit    = var.requests_per_shop
      keys     = "CUSTOM_KEYS"
      title    = "Too many requests for one shop from one address"
    }
  }
}

resource "aws_wafv2_web_acl" "this" {
  #checkov:skip=CKV_AWS_192: known-bad-inputs blocks it except in bodies, which are not logged
  name        = var.name
  description = "Keeps floods and probes away from the API."
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  dynamic "rule" {
    for_each = local.rates

    content {
      name     = rule.key
      priority = rule.value.priority

      action {
        block {
          custom_response {
            response_code            = 429
            custom_response_body_key = rule.key

            response_header {
              name  = "Retry-After"
              value = var.rate_window_seconds
            }
          }
        }
      }

      statement {
        rate_based_statement {
          limit                 = rule.value.limit
          aggregate_key_type    = rule.value.keys
          evaluation_window_sec = var.rate_window_seconds

          dynamic "custom_key" {
            for_each = rule.value.keys == "CUSTOM_KEYS" ? [true] : []

            content {
              ip {}
            }
          }
          dynamic "custom_key" {
            for_each = rule.value.keys == "CUSTOM_KEYS" ? ["x-shop-id"] : []

            content {
              header {
                name = custom_key.value

                text_transformation {
                  priority = 0
                  type     = "LOWERCASE"
                }
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${var.name}-${rule.key}"
        sampled_requests_enabled   = false # A sample has headers with signatures.
      }
    }
  }

  dynamic "rule" {
    for_each = local.groups

    content {
      name     = rule.key
      priority = rule.value.priority

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.value.name
          version     = rule.value.version

          dynamic "rule_action_override" {
            for_each = rule.value.counts

            content {
              name = rule_action_override.value

              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${var.name}-${rule.key}"
        sampled_requests_enabled   = false
      }
    }
  }

  dynamic "custom_response_body" {
    for_each = local.rates

    content {
      key          = custom_response_body.key
      content_type = "APPLICATION_JSON"
      content = jsonencode({
        type   = "about:blank"
        title  = custom_response_body.value.title
        status = 429
      })
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = false
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  resource_arn = var.stage_arn
  web_acl_arn  = aws_wafv2_web_acl.this.arn
}

# WAF requires this prefix of log groups.
resource "aws_cloudwatch_log_group" "this" {
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

data "aws_iam_policy_document" "write_logs" {
  statement {
    sid       = "WriteWebAclLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]

    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.current.partition}:logs:${var.region}:${data.aws_caller_identity.current.account_id}:*"]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "this" {
  policy_name     = "${var.name}-waf"
  policy_document = data.aws_iam_policy_document.write_logs.json
}

# Logs blocked requests only. Body rules count every request above 8 KB, so a log of counted
# requests would have all traffic with addresses and headers. The API's access log has the rest,
# without addresses.
resource "aws_wafv2_web_acl_logging_configuration" "this" {
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.this.arn]

  # Redacts credentials and forwarded addresses. The API has no query parameters, so a query may
  # hold anything.
  dynamic "redacted_fields" {
    for_each = ["webhook-signature", "x-api-key", "authorization", "proxy-authorization", "cookie", "forwarded", "x-forwarded-for"]

    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }
  redacted_fields {
    query_string {}
  }

  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }
    }
  }

  depends_on = [aws_cloudwatch_log_resource_policy.this]
}
