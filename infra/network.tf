# Where connectors run and the warehouse listens. Functions need no network of their own: they call
# AWS and nothing else.

locals {
  # What a private subnet calls, and of it only what this environment calls. The tasks' roles say
  # the same; this also holds for a stolen credential of another account, which could carry data out
  # through an open endpoint.
  interface_endpoint_statements = {
    "ecr.api" = [local.pull_images_statement, local.registry_token_statement]
    "ecr.dkr" = [local.pull_images_statement, local.registry_token_statement]
    logs = [{
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["arn:${local.partition}:logs:${var.region}:${local.account}:log-group:/aws/ecs/${local.prefix}-*"]
    }]
    kinesis-streams = [{
      actions   = ["kinesis:PutRecords"]
      resources = [for source in local.sources : module.source[source].stream_arn]
    }]
    ssm = [{
      actions = ["ssm:GetParameter"]
      resources = distinct(concat(
        ["arn:${local.partition}:ssm:${var.region}:${local.account}:parameter${local.connector_parameter_path}/*"],
        [for name in flatten(values(local.connectors)[*].tokens) : "arn:${local.partition}:ssm:${var.region}:${local.account}:parameter${name}"],
      ))
    }]
  }
  pull_images_statement = {
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:${local.partition}:ecr:${var.region}:${local.account}:repository/${local.prefix}-*"]
  }
  # Exception: the token is the registry's, so the action knows no resource.
  registry_token_statement = {
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "interface_endpoint" {
  #checkov:skip=CKV_AWS_283: an endpoint's policy is for whoever comes through it; the condition says whose account that is.
  for_each = { for service, statements in local.interface_endpoint_statements : service => statements if local.aws }

  dynamic "statement" {
    for_each = each.value

    content {
      actions   = statement.value.actions
      resources = statement.value.resources

      principals {
        type        = "AWS"
        identifiers = ["*"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:PrincipalAccount"
        values   = [local.account]
      }
    }
  }
}

data "aws_iam_policy_document" "s3_endpoint" {
  #checkov:skip=CKV_AWS_283: an endpoint's policy is for whoever comes through it; the condition says whose account that is, but for layers of images, whose signed URLs are of ECR's own account.
  statement {
    sid       = "UseTheLake"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:GetBucketLocation"]
    resources = [module.lake.bucket_arn, "${module.lake.bucket_arn}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [local.account]
    }
  }

  # What the notebook asks of Athena is written there.
  dynamic "statement" {
    for_each = local.notebook_queries

    content {
      sid       = "UseQueryResults"
      actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucket", "s3:GetBucketLocation"]
      resources = [module.athena[0].results_bucket_arn, "${module.athena[0].results_bucket_arn}/*"]

      principals {
        type        = "AWS"
        identifiers = ["*"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:PrincipalAccount"
        values   = [local.account]
      }
    }
  }

  # ECR keeps the layers of images in a bucket of its own account, and hands out signed URLs to
  # them.
  statement {
    sid       = "PullImages"
    actions   = ["s3:GetObject"]
    resources = ["arn:${local.partition}:s3:::prod-${var.region}-starport-layer-bucket/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

module "network" {
  source = "./modules/network"
  count  = local.aws ? 1 : 0

  prefix                   = local.prefix
  region                   = var.region
  cidr                     = var.vpc_cidr
  availability_zones       = var.availability_zones
  egress                   = var.connector_egress
  interface_endpoints      = { for service, policy in data.aws_iam_policy_document.interface_endpoint : service => policy.json }
  interface_endpoint_zones = var.interface_endpoint_zones
  s3_policy                = data.aws_iam_policy_document.s3_endpoint.json
  log_retention_days       = var.log_retention_days
  log_key_arn              = module.keys.data_key_arn
  permissions_boundary     = local.permissions_boundary
}
