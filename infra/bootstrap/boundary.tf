# The permissions boundary of an environment's roles: its own names, and resources with generated
# names unless tagged as another environment's. The deploy role cannot create a role without it
# (deployer.tf).

data "aws_iam_policy_document" "boundary" {
  for_each = var.environments

  #checkov:skip=CKV_AWS_107: a boundary grants nothing; each role's policy limits it
  #checkov:skip=CKV_AWS_108: a boundary grants nothing; each role's policy limits it
  #checkov:skip=CKV_AWS_109: a boundary grants nothing; each role's policy limits it
  #checkov:skip=CKV_AWS_111: a boundary grants nothing; each role's policy limits it
  #checkov:skip=CKV_AWS_356: a boundary grants nothing; each role's policy limits it

  statement {
    sid       = "NamedResources"
    actions   = [for service in local.named_services : "${service}:*"]
    resources = local.named_resources[each.key]
  }

  statement {
    sid       = "Keys"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["arn:${local.partition}:kms:${var.region}:${local.account}:key/*"]
  }

  statement {
    sid       = "Warehouse"
    actions   = ["redshift-data:*", "redshift-serverless:CreateSnapshot", "redshift-serverless:GetCredentials"]
    resources = ["*"]
  }

  # These actions have no resources.
  statement {
    sid = "ActionsWithoutResources"
    actions = [
      "cloudwatch:PutMetricData", "ecr:GetAuthorizationToken", "lakeformation:GetDataAccess", "logs:*LogDeliver*", "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies", "logs:PutResourcePolicy", "xray:GetSampling*", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "PassTaskRoles"
    actions   = ["iam:PassRole"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/shoplake-${each.key}-*"]
  }

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

resource "aws_iam_policy" "boundary" {
  for_each = var.environments

  name        = "shoplake-boundary-${each.key}"
  description = "Permissions boundary of every role of shoplake-${each.key}."
  policy      = data.aws_iam_policy_document.boundary[each.key].json
}
