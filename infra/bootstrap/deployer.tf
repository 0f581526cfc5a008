# Who deploys: GitHub Actions of one repository, by a token that GitHub signs for each job. There is
# no key to steal.

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository != null && var.create_github_provider ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  github_provider_arn = "arn:${local.partition}:iam::${local.account}:oidc-provider/token.actions.githubusercontent.com"

  # The repository as GitHub's tokens name it. Exact names: a wildcard in place of the ids would let
  # in names made to fit.
  github_repositories = var.github_repository == null ? [] : distinct(concat(
    [var.github_repository],
    var.github_names_without_ids ? [replace(var.github_repository, "/@[0-9]+/", "")] : [],
  ))

  # What a job may be, by what GitHub says of it in the token: one that runs in the environment
  # whose stack it deploys. Who may run there, and from which branch, are settings of the
  # environment in GitHub.
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
      # IAM takes no wildcard for the service.
      [for service in local.named_services : "arn:${local.partition}:${service}:${var.region}:${local.account}:*shoplake-${environment}*" if service != "s3"],
      [
        "arn:${local.partition}:s3:::shoplake-${environment}-*",
        "arn:${local.partition}:cloudwatch::${local.account}:dashboard/shoplake-${environment}*",
        # API Gateway calls the group of a stage's own log by the API's id.
        "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:API-Gateway-Execution-Logs_*",
        # The catalog's names have no hyphens.
        "arn:${local.partition}:glue:${var.region}:${local.account}:catalog",
        "arn:${local.partition}:glue:${var.region}:${local.account}:*shoplake_${environment}*",
      ],
    )
  }
}

data "aws_iam_policy_document" "trust" {
  #checkov:skip=CKV_AWS_358: the claim is repo:<owner>/<name>:environment:<name>, put together from variables that take no wildcards

  for_each = local.deployers

  statement {
    sid     = "JobsOfTheRepositoryInTheEnvironment"
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

  #checkov:skip=CKV_AWS_108: it creates what holds the data, and the boundary of what it creates is the name of its environment
  #checkov:skip=CKV_AWS_109: it sets the policies of what it creates; roles among them have the permissions boundary
  #checkov:skip=CKV_AWS_111: services whose resources have names that AWS makes up know no narrower resource when they are created
  #checkov:skip=CKV_AWS_356: services whose resources have names that AWS makes up know no narrower resource when they are created

  statement {
    sid       = "KeepTheState"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.state.arn}/shoplake-${each.key}.tfstate*"]
  }

  # Terraform's lock is a file beside the state.
  statement {
    sid       = "ReleaseTheLock"
    actions   = ["s3:DeleteObject"]
    resources = ["${aws_s3_bucket.state.arn}/shoplake-${each.key}.tfstate.tflock"]
  }

  statement {
    sid       = "FindTheState"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.state.arn]
  }

  statement {
    sid       = "UseTheStatesKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.state.arn]
  }

  # What can be named before it exists is bounded by the environment's name.
  statement {
    sid       = "ManageWhatIsNamed"
    actions   = [for service in local.named_services : "${service}:*"]
    resources = local.named_resources[each.key]
  }

  # Exception: AWS makes up the names of these, or their actions know no resource; the region bounds
  # them.
  statement {
    sid       = "ManageWhatAwsNames"
    actions   = [for service in local.services_that_name : "${service}:*"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region, "us-east-1"] # Budgets and hosted zones are in us-east-1, wherever the rest is.
    }
  }

  # Exception: lists and settings of a service, and event source mappings, whose names AWS makes up.
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

  # Roles are the environment's own.
  statement {
    sid = "ManageRoles"
    actions = [
      "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:GetRole", "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:ListRoleTags", "iam:PassRole",
      "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
    ]
    resources = ["arn:${local.partition}:iam::${local.account}:role/shoplake-${each.key}-*"]
  }

  # What gives a role permissions is allowed only for a role that has the boundary: whatever a
  # deployment writes into a policy, the role stays within its environment.
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
    sid       = "LetServicesHaveTheirRoles"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/aws-service-role/*"]
  }

  # Whatever it may do by name, who deploys and how far roles reach is not for a deployment to
  # decide.
  statement {
    sid     = "LeaveDeployersAlone"
    effect  = "Deny"
    actions = ["iam:*"]
    resources = [
      "arn:${local.partition}:iam::${local.account}:role/shoplake-deploy-*",
      "arn:${local.partition}:iam::${local.account}:policy/shoplake-*",
    ]
  }

  # Keys, the warehouse, the API and the web ACL have names that AWS makes up, so their tag says
  # whose they are. A resource without the tag is of no environment.
  statement {
    sid       = "LeaveOtherEnvironmentsAlone"
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
