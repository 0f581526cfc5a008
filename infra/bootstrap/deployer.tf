# The deploy role of GitHub Actions, assumed with a token that GitHub signs for each job. There is
# no long-lived key.

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository != null && var.create_github_provider ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  github_provider_arn = "arn:${local.partition}:iam::${local.account}:oidc-provider/token.actions.githubusercontent.com"

  # The repository as in GitHub's tokens. Exact names: a wildcard for the ids would accept forged
  # names.
  github_repositories = var.github_repository == null ? [] : distinct(concat(
    [var.github_repository],
    var.github_names_without_ids ? [replace(var.github_repository, "/@[0-9]+/", "")] : [],
  ))

  # The subject of the token: a job that runs in the environment that it deploys. Access and
  # branches are settings of the environment in GitHub.
  deployers = var.github_repository == null ? {} : {
    for environment in var.environments : environment => [for repository in local.github_repositories : "repo:${repository}:environment:${environment}"]
  }
}

locals {
  named_services = [
    "athena", "cloudwatch", "ecr", "ecs", "events", "firehose", "glue", "kinesis", "lambda", "logs", "s3", "sagemaker", "scheduler",
    "secretsmanager", "sns", "sqs", "ssm", "states",
  ]
  services_that_name = [
    "acm", "apigateway", "application-autoscaling", "budgets", "ec2", "kms", "lakeformation", "redshift-data", "redshift-serverless", "route53",
    "wafv2",
  ]
  named_resources = {
    for environment in var.environments : environment => concat(
      # IAM accepts no wildcard for the service.
      [for service in local.named_services : "arn:${local.partition}:${service}:${var.region}:${local.account}:*shoplake-${environment}*" if service != "s3"],
      [
        "arn:${local.partition}:s3:::shoplake-${environment}-*",
        "arn:${local.partition}:cloudwatch::${local.account}:dashboard/shoplake-${environment}*",
        # API Gateway names the group of a stage's own log after the API's id.
        "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:API-Gateway-Execution-Logs_*",
        # Names in the catalog have no hyphens.
        "arn:${local.partition}:glue:${var.region}:${local.account}:catalog",
        "arn:${local.partition}:glue:${var.region}:${local.account}:*shoplake_${environment}*",
      ],
    )
  }
}

data "aws_iam_policy_document" "trust" {
  #checkov:skip=CKV_AWS_358: the claim has exact names: its variables accept no wildcards

  for_each = local.deployers

  statement {
    sid     = "GitHubJobs"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.github_provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = each.value
    }
  }
}

resource "aws_iam_role" "deployer" {
  for_each = local.deployers

  name                 = "shoplake-deploy-${each.key}"
  description          = "Deploys shoplake-${each.key} from ${var.github_repository}."
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 2 * 60 * 60

  depends_on = [aws_iam_openid_connect_provider.github]
}

data "aws_iam_policy_document" "deploy" {
  for_each = local.deployers

  #checkov:skip=CKV_AWS_108: it creates the data stores, limited to its environment's names
  #checkov:skip=CKV_AWS_109: it sets policies of its resources; roles have the boundary
  #checkov:skip=CKV_AWS_111: resources with generated names need "*" on creation
  #checkov:skip=CKV_AWS_356: resources with generated names need "*" on creation

  statement {
    sid       = "WriteState"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.state.arn}/shoplake-${each.key}.tfstate*"]
  }

  # Terraform's lock is an object beside the state.
  statement {
    sid       = "ReleaseLock"
    actions   = ["s3:DeleteObject"]
    resources = ["${aws_s3_bucket.state.arn}/shoplake-${each.key}.tfstate.tflock"]
  }

  statement {
    sid       = "ListState"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.state.arn]
  }

  statement {
    sid       = "UseStateKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.state.arn]
  }

  # Resources with a name are limited by the environment's prefix.
  statement {
    sid       = "ManageNamedResources"
    actions   = [for service in local.named_services : "${service}:*"]
    resources = local.named_resources[each.key]
  }

  # Exception: these have generated names or actions without resources; the region limits them.
  statement {
    sid       = "ManageResourcesWithGeneratedNames"
    actions   = [for service in local.services_that_name : "${service}:*"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region, "us-east-1"] # Budgets and hosted zones are in us-east-1.
    }
  }

  # Exception: lists and settings of services, and event source mappings, which have generated
  # names.
  statement {
    sid = "ManageSettings"
    actions = [
      "cloudwatch:DescribeAlarms", "ecr:GetAuthorizationToken", "ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition",
      "ecs:ListTaskDefinitions", "ecs:RegisterTaskDefinition", "glue:*SecurityConfiguration*", "glue:CreateCrawler",
      "kinesis:UpdateShardCount", "kinesis:UpdateStreamMode", "lambda:*EventSourceMapping*", "lambda:ListTags", "logs:*LogDeliver*",
      "logs:*QueryDefinition*", "logs:*ResourcePolic*", "logs:DescribeLogGroups", "secretsmanager:GetRandomPassword",
      "sns:*Subscription*", "sns:Unsubscribe", "states:ValidateStateMachineDefinition",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "TagEventSourceMappings"
    actions   = ["lambda:TagResource", "lambda:UntagResource"]
    resources = ["arn:${local.partition}:lambda:${var.region}:${local.account}:event-source-mapping:*"]
  }

  # Only the environment's roles.
  statement {
    sid = "ManageRoles"
    actions = [
      "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:GetRole", "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:ListRoleTags", "iam:PassRole",
      "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
    ]
    resources = ["arn:${local.partition}:iam::${local.account}:role/shoplake-${each.key}-*"]
  }

  # Permissions can be given only to roles with the boundary, so that every role stays within its
  # environment.
  statement {
    sid       = "ManageBoundedRoles"
    actions   = ["iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/shoplake-${each.key}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [aws_iam_policy.boundary[each.key].arn]
    }
  }

  statement {
    sid       = "PassRolesToServices"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/aws-service-role/*"]
  }

  # A deployment must not change deploy roles and boundaries.
  statement {
    sid     = "DenyDeployers"
    effect  = "Deny"
    actions = ["iam:*"]
    resources = [
      "arn:${local.partition}:iam::${local.account}:role/shoplake-deploy-*",
      "arn:${local.partition}:iam::${local.account}:policy/shoplake-*",
    ]
  }

  # Keys, the warehouse, the API and the web ACL have generated names, so a tag names their
  # environment. A resource without the tag belongs to no environment.
  statement {
    sid       = "DenyOtherEnvironments"
    effect    = "Deny"
    actions   = ["*"]
    resources = ["*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/Environment"
      values   = ["false"]
    }
    condition {
      test     = "StringNotEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [each.key]
    }
  }
}

resource "aws_iam_policy" "deploy" {
  for_each = local.deployers

  name        = "shoplake-deploy-${each.key}"
  description = "Deploys shoplake-${each.key}."
  policy      = data.aws_iam_policy_document.deploy[each.key].json
}

resource "aws_iam_role_policy_attachment" "deploy" {
  for_each = local.deployers

  role       = aws_iam_role.deployer[each.key].name
  policy_arn = aws_iam_policy.deploy[each.key].arn
}
