# Statements that several functions' policies share.

# Objects are encrypted: whoever reads or writes one needs the key, and only by way of S3.
data "aws_iam_policy_document" "lake_key" {
  statement {
    sid       = "UseTheLakesKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [module.keys.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}

# S3 answers 403 instead of 404 for a missing key to whoever may not list the bucket. It asks for
# that permission without a prefix, hence IfExists: a plain StringLike would turn "this partition is
# new" into "access denied".
data "aws_iam_policy_document" "list_partitions" {
  statement {
    sid       = "ListPartitions"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["silver/*", "gold/*"]
    }
  }
}

# Messages are encrypted as well: whoever publishes one needs the key, and only by way of SNS.
data "aws_iam_policy_document" "topics_key" {
  statement {
    sid       = "EncryptMessages"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [module.keys.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["sns.${var.region}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "mark_dirty" {
  statement {
    sid       = "MarkPartitionsDirty"
    actions   = ["sqs:SendMessage"]
    resources = [module.dirty_queue.arn]
  }
}
