# Policy statements shared by several functions.

# Objects are encrypted: readers and writers need the key, through S3 only.
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

# Without s3:ListBucket S3 responds 403 instead of 404 for a missing key. It checks that permission
# without a prefix, hence IfExists: a plain StringLike would turn "new partition" into "access
# denied".
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

# The states of partitions, and the markers of those that owe something. A writer needs both.
data "aws_iam_policy_document" "partition_states" {
  statement {
    sid       = "ReadPartitionStates"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/state/partitions/*"]
  }

  statement {
    sid       = "WritePartitionStates"
    actions   = ["s3:PutObject"]
    resources = ["${module.lake.bucket_arn}/state/partitions/*", "${module.lake.bucket_arn}/state/owed/*"]
  }
}

# The slot of a job that has ended.
data "aws_iam_policy_document" "free_run_slots" {
  statement {
    sid       = "FreeRunSlots"
    actions   = ["s3:GetObject", "s3:DeleteObject"]
    resources = ["${module.lake.bucket_arn}/state/runs/*"]
  }
}

data "aws_iam_policy_document" "publish_dirty" {
  statement {
    sid       = "PublishDirtyPartitions"
    actions   = ["events:PutEvents"]
    resources = [module.dirty_queue.bus_arn]
  }
}

# Messages are encrypted: publishers need the key, through SNS only.
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
    sid       = "SendDirtyMessages"
    actions   = ["sqs:SendMessage"]
    resources = [module.dirty_queue.arn]
  }
}
