# How far the roles of an environment's stack can reach, whatever their own policies say: its own
# names, and of what AWS names whatever is not tagged as another environment's. The deploy role
# makes no role without it (deployer.tf).

data "aws_iam_policy_document" "boundary" {
  for_each = var.environments

  #checkov:skip=CKV_AWS_107: a boundary gives nothing; each role's own policy names what it may do
  #checkov:skip=CKV_AWS_108: a boundary gives nothing; each role's own policy names what it may do
  #checkov:skip=CKV_AWS_109: a boundary gives nothing; each role's own policy names what it may do
  #checkov:skip=CKV_AWS_111: a boundary gives nothing; each role's own policy names what it may do
  #checkov:skip=CKV_AWS_356: a boundary gives nothing; each role's own policy names what it may do

  statement {
    sid       = "WhatIsNamed"
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

  # Their actions know no resource.
  statement {
    sid = "WithoutResources"
    actions = [
      "cloudwatch:PutMetricData", "ecr:GetAuthorizationToken", "lakeformation:GetDataAccess", "logs:*LogDeliver*", "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies", "logs:PutResourcePolicy", "xray:GetSampling*", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "RolesOfTasks"
    actions   = ["iam:PassRole"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/shoplake-${each.key}-*"]
  }

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

resource "aws_iam_policy" "boundary" {
  for_each = var.environments

  name        = "shoplake-boundary-${each.key}"
  description = "The farthest that any role of shoplake-${each.key} can reach."
  policy      = data.aws_iam_policy_document.boundary[each.key].json
}
