# The two ways between Shoplake and the warehouse: functions send it SQL, and it reads the lake.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  partition = data.aws_partition.current.partition
  # Exception where no ARN is given: a workgroup's ARN holds a generated id, unknown before it
  # exists.
  workgroup_arn = coalesce(
    var.workgroup_arn,
    "arn:${local.partition}:redshift-serverless:${var.region}:${data.aws_caller_identity.current.account_id}:workgroup/*",
  )
}

data "aws_iam_policy_document" "send_sql" {
  statement {
    sid       = "SendSql"
    actions   = ["redshift-data:BatchExecuteStatement"]
    resources = [local.workgroup_arn]
  }

  statement {
    sid       = "SignInToWorkgroup"
    actions   = ["redshift-serverless:GetCredentials"]
    resources = [local.workgroup_arn]
  }

  # Exception: a statement has no ARN; the condition limits these to the caller's statements.
  statement {
    sid       = "FollowOwnStatements"
    actions   = ["redshift-data:DescribeStatement", "redshift-data:GetStatementResult", "redshift-data:CancelStatement"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "redshift-data:statement-owner-iam-userid"
      values   = ["&{aws:userid}"]
    }
  }
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]
    }
    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "copy" {
  statement {
    sid       = "ReadCopiedObjects"
    actions   = ["s3:GetObject"]
    resources = [for pattern in var.readable_by_copying : "${var.lake_bucket_arn}/${pattern}"]
  }

  statement {
    sid       = "GetBucketLocation"
    actions   = ["s3:GetBucketLocation"]
    resources = [var.lake_bucket_arn]
  }

  statement {
    sid       = "ListCopiedObjects"
    actions   = ["s3:ListBucket"]
    resources = [var.lake_bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = var.readable_by_copying
    }
  }

  statement {
    sid       = "DecryptCopiedObjects"
    actions   = ["kms:Decrypt"]
    resources = [var.lake_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "copy" {
  name                 = "${var.prefix}-warehouse-copy"
  description          = "Reads the lake for COPY of the warehouse."
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "copy" {
  name   = "read-gold"
  role   = aws_iam_role.copy.id
  policy = data.aws_iam_policy_document.copy.json
}
