# The Glue catalog of the lake. `make package` derives it from contracts and models
# (crates/catalog), so that a new dataset or model needs neither a change here nor a crawler.

locals {
  described     = jsondecode(local.aws ? file("${var.packages_dir}/catalog.json") : "{}")
  catalog       = try(local.described.databases, {})
  catalog_views = try(local.described.views, {})

  # Databases are separate by audience: bronze and quarantine have unvalidated data, personal data
  # included.
  catalog_descriptions = {
    bronze     = "Original envelopes by source and hour of arrival."
    silver     = "Typed, flat, validated rows by dataset. Rows may repeat: see the table's row_key."
    gold       = "KPIs and features by model, one row per key."
    quarantine = "Rejected lines with their reasons and original bytes."
  }
}

module "catalog" {
  source = "./modules/catalog"
  count  = local.aws ? 1 : 0

  prefix       = local.prefix
  bucket       = module.lake.bucket
  tables       = local.catalog
  views        = local.catalog_views
  descriptions = local.catalog_descriptions
  first_day    = var.catalog_first_day
  governed     = local.governs

  # New databases have no grant to all principals with IAM permissions.
  depends_on = [aws_lakeformation_data_lake_settings.this]
}

# ---- the crawler of bronze, optional -------------------------------------------------------------

locals {
  crawler           = "${local.prefix}-bronze"
  bronze_crawlers   = local.aws && var.bronze_crawler ? { bronze = local.crawler } : {}
  bronze_database   = one(module.catalog[*].databases.bronze)
  crawler_log_group = "/aws-glue/crawlers-role/${local.crawler}-crawler-${local.crawler}"
}

resource "aws_glue_security_configuration" "crawler" {
  for_each = local.bronze_crawlers

  name = each.value

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

# Glue derives the name from role and security configuration, and would create the group without
# retention.
resource "aws_cloudwatch_log_group" "crawler" {
  #checkov:skip=CKV_AWS_338: retention is a variable; logs are for debugging, CloudTrail for audits
  for_each = local.bronze_crawlers

  name              = local.crawler_log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = module.keys.data_key_arn
}

data "aws_iam_policy_document" "crawler" {
  for_each = local.bronze_crawlers

  statement {
    sid       = "ReadBronze"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/bronze/*"]
  }

  statement {
    sid       = "ListBronze"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["bronze/*"]
    }
  }

  statement {
    sid       = "GetBucketLocation"
    actions   = ["s3:GetBucketLocation"]
    resources = [module.lake.bucket_arn]
  }

  statement {
    sid       = "DecryptBronze"
    actions   = ["kms:Decrypt"]
    resources = [module.keys.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }

  # Only the crawler's tables, which begin with crawled_.
  statement {
    sid = "WriteCrawledTables"
    actions = [
      "glue:GetDatabase",
      "glue:GetTable",
      "glue:GetTables",
      "glue:CreateTable",
      "glue:UpdateTable",
      "glue:GetPartition",
      "glue:GetPartitions",
      "glue:BatchGetPartition",
      "glue:CreatePartition",
      "glue:BatchCreatePartition",
      "glue:UpdatePartition",
      "glue:BatchUpdatePartition",
    ]
    resources = [
      "arn:${local.partition}:glue:${var.region}:${local.account}:catalog",
      module.catalog[0].database_arns.bronze,
      "arn:${local.partition}:glue:${var.region}:${local.account}:table/${local.bronze_database}/crawled_*",
    ]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:AssociateKmsKey"]
    resources = [aws_cloudwatch_log_group.crawler[each.key].arn, "${aws_cloudwatch_log_group.crawler[each.key].arn}:*"]
  }
}

resource "aws_iam_role" "crawler" {
  for_each = local.bronze_crawlers

  name                 = "${each.value}-crawler"
  assume_role_policy   = data.aws_iam_policy_document.glue_assume.json
  permissions_boundary = local.permissions_boundary
}

resource "aws_iam_role_policy" "crawler" {
  for_each = local.bronze_crawlers

  name   = "work"
  role   = aws_iam_role.crawler[each.key].id
  policy = data.aws_iam_policy_document.crawler[each.key].json
}

resource "aws_glue_crawler" "bronze" {
  for_each = local.bronze_crawlers

  name                   = each.value
  description            = "Crawls the fields that sources send. Queries use declared tables."
  role                   = aws_iam_role.crawler[each.key].arn
  database_name          = local.bronze_database
  table_prefix           = "crawled_"
  schedule               = "cron(30 5 * * ? *)"
  security_configuration = aws_glue_security_configuration.crawler[each.key].name

  dynamic "s3_target" {
    for_each = local.sources

    content {
      path        = "s3://${module.lake.bucket}/bronze/${s3_target.value}/"
      sample_size = 20 # Objects of an hour are similar.
    }
  }

  # Objects never change after their first crawl.
  recrawl_policy {
    recrawl_behavior = "CRAWL_NEW_FOLDERS_ONLY"
  }
  schema_change_policy {
    update_behavior = "LOG"
    delete_behavior = "LOG"
  }

  configuration = jsonencode({
    Version       = 1
    Grouping      = { TableGroupingPolicy = "CombineCompatibleSchemas" }
    CrawlerOutput = { Partitions = { AddOrUpdateBehavior = "InheritFromTable" } }
  })

  depends_on = [aws_iam_role_policy.crawler, aws_cloudwatch_log_group.crawler]
}
