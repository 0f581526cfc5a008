# Jobs too big for a function, with Spark on Glue. On AWS only: the local cloud has no Glue.

locals {
  glue_job = "${local.prefix}-transform-glue"

  # The script and its modules. The folder is named by a hash of its content, so that a running job
  # keeps its version during a deployment.
  glue_dir     = "${path.root}/../glue-sql/spark"
  glue_modules = ["job_engine.py", "job_lake.py", "job_state.py"]
  glue_files   = local.aws ? toset(concat(["run_job.py"], local.glue_modules)) : toset([])
  glue_code    = substr(sha256(join("", [for file in local.glue_files : filesha256("${local.glue_dir}/${file}")])), 0, 16)

  # With a security configuration, Glue 5 logs to <prefix>/<security
  # configuration>-role/<role>/error and .../output, and would create the groups without retention.
  # Role and security configuration share the job's name.
  glue_log_prefix = "/aws-glue/jobs/${local.glue_job}"
  glue_log_groups = local.aws ? {
    for stream in ["error", "output"] : stream => "${local.glue_log_prefix}/${local.glue_job}-role/${local.glue_job}/${stream}"
  } : {}
}

resource "aws_s3_object" "glue" {
  for_each = local.glue_files

  bucket = module.lake.bucket
  key    = "code/${local.glue_code}/${each.key}"
  source = "${local.glue_dir}/${each.key}"
  # Not etag: the ETag of an encrypted object is not its MD5.
  source_hash = filesha256("${local.glue_dir}/${each.key}")
  kms_key_id  = module.keys.data_key_arn

  lifecycle {
    create_before_destroy = true # The job refers to the new ones before the old ones are deleted.
  }
}

resource "aws_cloudwatch_log_group" "glue" {
  #checkov:skip=CKV_AWS_338: retention is a variable; logs are for debugging, CloudTrail for audits

  for_each = local.glue_log_groups

  name              = each.value
  retention_in_days = var.log_retention_days
  kms_key_id        = module.keys.data_key_arn
}

resource "aws_glue_security_configuration" "transform" {
  count = local.aws ? 1 : 0

  name = local.glue_job

  encryption_configuration {
    cloudwatch_encryption {
      cloudwatch_encryption_mode = "SSE-KMS"
      kms_key_arn                = module.keys.data_key_arn
    }
    job_bookmarks_encryption {
      job_bookmarks_encryption_mode = "CSE-KMS"
      kms_key_arn                   = module.keys.data_key_arn
    }
    s3_encryption {
      s3_encryption_mode = "SSE-KMS"
      kms_key_arn        = module.keys.data_key_arn
    }
  }
}

data "aws_iam_policy_document" "glue_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["glue.amazonaws.com"]
    }
    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "glue" {
  count = local.aws ? 1 : 0

  # The same permissions as the function transform, by the same protocol.
  source_policy_documents = [data.aws_iam_policy_document.transform.json]

  statement {
    sid       = "ReadScripts"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/code/*"]
  }

  # The job's result, and the cluster's shared workspace below its document.
  statement {
    sid       = "WriteResultsAndWorkspaces"
    actions   = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${module.lake.bucket_arn}/jobs/*"]
  }

  # Exception: broader than jobs/* by the two keys with which Glue's file system checks whether
  # "jobs" is a folder. A 403 instead of a 404 would fail the job.
  statement {
    sid       = "FindFolders"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/jobs", "${module.lake.bucket_arn}/jobs_$folder$"]
  }

  statement {
    sid       = "ListWorkspaces"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["jobs/*"]
    }
  }

  # Without AssociateKmsKey Glue disables logging.
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:AssociateKmsKey"]
    resources = flatten([for group in aws_cloudwatch_log_group.glue : [group.arn, "${group.arn}:*"]])
  }

  # Exception: metrics have no ARN, so AWS accepts only "*"; the condition limits it to Glue's
  # namespace.
  statement {
    sid       = "WriteJobMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["Glue"]
    }
  }
}

resource "aws_iam_role" "glue" {
  count = local.aws ? 1 : 0

  name                 = local.glue_job
  assume_role_policy   = data.aws_iam_policy_document.glue_assume.json
  permissions_boundary = local.permissions_boundary
}

resource "aws_iam_role_policy" "glue" {
  count = local.aws ? 1 : 0

  name   = "work"
  role   = aws_iam_role.glue[0].id
  policy = data.aws_iam_policy_document.glue[0].json
}

resource "aws_glue_job" "transform" {
  count = local.aws ? 1 : 0

  name                   = local.glue_job
  description            = "Computes, checks and commits one gold partition, as transform."
  role_arn               = aws_iam_role.glue[0].arn
  security_configuration = aws_glue_security_configuration.transform[0].name

  glue_version      = "5.0" # Spark 3.5.4, Python 3.11: the versions of tests/parity.
  worker_type       = "G.1X"
  number_of_workers = var.glue.workers
  timeout           = var.glue.timeout_minutes
  max_retries       = 0 # The state machine retries transient failures.

  execution_property {
    max_concurrent_runs = var.glue.concurrent_runs
  }

  command {
    name            = "glueetl"
    python_version  = "3"
    script_location = "s3://${module.lake.bucket}/${aws_s3_object.glue["run_job.py"].key}"
  }

  default_arguments = {
    "--job-language"                     = "python"
    "--extra-py-files"                   = join(",", [for name in local.glue_modules : "s3://${module.lake.bucket}/${aws_s3_object.glue[name].key}"])
    "--job-bookmark-option"              = "job-bookmark-disable" # The job document has the inputs.
    "--enable-auto-scaling"              = "true"
    "--enable-metrics"                   = "true"
    "--enable-job-insights"              = "true"
    "--enable-continuous-cloudwatch-log" = "true"
    "--custom-logGroup-prefix"           = local.glue_log_prefix

    "--aws_region"  = var.region
    "--lake_bucket" = module.lake.bucket
    "--event_bus"   = module.dirty_queue.bus_name
  }

  # Otherwise Glue may create the log groups without retention.
  depends_on = [aws_cloudwatch_log_group.glue, aws_iam_role_policy.glue]
}
