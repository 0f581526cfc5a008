# A web ACL for an API that takes signed events. It keeps away who floods and who probes; whose events they are, and
# whether they are right, the function behind it knows better.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  # Rules of AWS's groups that only count here, because they would refuse good events: what people type into a shop's search
  # field, the addresses and user agents of its visitors, are data of an event, and may look like anything. Nothing behind the
  # API builds a command, a path or SQL from them.
  groups = {
    ip-reputation = {
      priority = 10
      name     = "AWSManagedRulesAmazonIpReputationList"
      counts   = []
    }
    known-bad-inputs = {
      priority = 20
      name     = "AWSManagedRulesKnownBadInputsRuleSet"
      counts   = ["JavaDeserializationRCE_BODY", "Log4JRCE_BODY"]
    }
    common = {
      priority = 30
      name     = "AWSManagedRulesCommonRuleSet"
      counts = [
        "SizeRestrictions_BODY", # It blocks above 8 KB; an array of events has up to 5 MB.
        "NoUserAgent_HEADER",    # A shop's server signs its requests, and need not say what it is made of.
        "CrossSiteScripting_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
      ]
    }
  }
}

resource "aws_wafv2_web_acl" "this" {
  #checkov:skip=CKV_AWS_192: the group known-bad-inputs stops it in headers, paths and queries; a body is data that no logger reads
  name        = var.name
  description = "Keeps floods and probes away from the API."
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  rule {
    name     = "rate-per-ip"
    priority = 0

    action {
      block {
        custom_response {
          response_code            = 429
          custom_response_body_key = "slow-down"

          response_header {
            name  = "Retry-After"
            value = var.rate_window_seconds
          }
        }
      }
    }

    statement {
      rate_based_statement {
        limit                 = var.requests_per_ip
        aggregate_key_type    = "IP"
        evaluation_window_sec = var.rate_window_seconds
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-rate-per-ip"
      sampled_requests_enabled   = false # A sample shows headers, and with them a signature.
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

  custom_response_body {
    key          = "slow-down"
    content_type = "APPLICATION_JSON"
    content = jsonencode({
      type   = "about:blank"
      title  = "Too many requests from one address"
      status = 429
    })
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

# WAF writes only to groups of which the name begins like this.
resource "aws_cloudwatch_log_group" "this" {
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

data "aws_iam_policy_document" "write_logs" {
  statement {
    sid       = "WebAclWritesItsLog"
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

# Only what a rule has stopped or counted: what passes is in the API's access log, without the sender's address.
resource "aws_wafv2_web_acl_logging_configuration" "this" {
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.this.arn]

  dynamic "redacted_fields" {
    for_each = ["webhook-signature", "x-api-key", "authorization", "cookie"]

    content {
      single_header {
        name = redacted_fields.value
      }
    }
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
      # A rule that counts instead of blocking.
      condition {
        action_condition {
          action = "EXCLUDED_AS_COUNT"
        }
      }
      condition {
        action_condition {
          action = "COUNT"
        }
      }
    }
  }

  depends_on = [aws_cloudwatch_log_resource_policy.this]
}
