# The lake's bucket, with the prefixes bronze/ silver/ gold/ quarantine/ jobs/ alerts/ reference/
# shops/ state/.

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18: few roles have access; for audits enable CloudTrail data events
  #checkov:skip=CKV_AWS_144: one region by design; versions undo accidents

  bucket        = var.bucket
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    # One KMS request for many objects: otherwise KMS would cost more than S3 for small silver
    # objects.
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  # Versions undo accidents.
  rule {
    id     = "forget-old-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    expiration {
      expired_object_delete_marker = true
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  # Gold partitions are overwritten several times a minute and can be recomputed from silver.
  rule {
    id     = "forget-old-gold-versions"
    status = "Enabled"

    filter {
      prefix = "gold/"
    }
    noncurrent_version_expiration {
      noncurrent_days = 2
    }
  }

  # Job documents are read within minutes; a week is for debugging.
  rule {
    id     = "forget-jobs"
    status = "Enabled"

    filter {
      prefix = "jobs/"
    }
    expiration {
      days = 7
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # Each job rewrites states, markers and run slots. Their old versions and delete markers slow down
  # listings, and each job lists the slots.
  rule {
    id     = "forget-old-states"
    status = "Enabled"

    filter {
      prefix = "state/"
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # The sweep reads receipts of bronze objects of the last three days.
  rule {
    id     = "forget-receipts"
    status = "Enabled"

    filter {
      prefix = "state/conformed/"
    }
    expiration {
      days = 7
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # Bronze is read again for replays only, but without delay.
  rule {
    id     = "archive-bronze"
    status = "Enabled"

    filter {
      prefix = "bronze/"
    }
    transition {
      days          = var.bronze_archive_days
      storage_class = "GLACIER_IR"
    }
  }

  # Rules for noncurrent versions need versioning.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_notification" "this" {
  bucket      = aws_s3_bucket.this.id
  eventbridge = true
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "RefusePlainHttp"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.this.json

  # S3 rejects setting a policy and a public access block at the same time (OperationAborted).
  depends_on = [aws_s3_bucket_public_access_block.this]
}
