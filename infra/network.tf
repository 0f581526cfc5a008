# The network of connectors and the warehouse. Functions have no VPC: they call AWS only.

locals {
  # Policies of the interface endpoints: only this environment's resources. They also stop stolen
  # credentials of another account from moving data out through an endpoint.
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
  # Exception: the token belongs to the registry, so the action has no resources.
  registry_token_statement = {
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "interface_endpoint" {
  #checkov:skip=CKV_AWS_283: the condition limits the endpoint to callers of this account
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
  #checkov:skip=CKV_AWS_283: the condition limits it to this account, except ECR's image layers
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

  # Athena writes the notebook's results there.
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

  # ECR stores image layers in a bucket of its own account and returns signed URLs.
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
