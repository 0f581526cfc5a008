# A notebook instance with read access to the customers' features only, without internet access and
# root.

locals {
  notebooks     = local.aws && var.notebook != null ? { customer-segments = "${local.prefix}-customer-segments" } : {}
  notebook_dir  = "${path.root}/notebooks"
  notebook_keys = length(local.notebooks) == 0 ? {} : { for file in fileset(local.notebook_dir, "*.ipynb") : file => "code/notebooks/${file}" }

  # Its input and output prefixes in the lake.
  notebook_model    = "customer_features"
  notebook_features = "gold/${local.notebook_model}"
  notebook_segments = "segments/customers"

  # A regional address saves clients a request for the bucket's region over the internet.
  notebook_settings = {
    AWS_DEFAULT_REGION = var.region
    SHOPLAKE_FEATURES  = "s3://${module.lake.bucket}/${local.notebook_features}?region=${var.region}"
    SHOPLAKE_SEGMENTS  = "s3://${module.lake.bucket}/${local.notebook_segments}?region=${var.region}"
  }

  notebook_queries = try(var.notebook.queries, false) ? local.notebooks : {}

  # Private subnets reach these only by an endpoint, unless there is a NAT.
  notebook_endpoints = length(local.notebook_queries) == 0 || var.connector_egress == "nat" ? {} : {
    athena = [
      "athena:BatchGetQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetWorkGroup",
      "athena:ListQueryExecutions", "athena:StartQueryExecution", "athena:StopQueryExecution",
    ]
    glue = ["glue:GetDatabase", "glue:GetTable", "glue:GetPartitions"]
  }
}

resource "aws_s3_object" "notebook" {
  for_each = local.notebook_keys

  bucket = module.lake.bucket
  key    = each.value
  source = "${local.notebook_dir}/${each.key}"
  # Not etag: the ETag of an encrypted object is not its MD5.
  source_hash = filesha256("${local.notebook_dir}/${each.key}")
}

# ---- permissions ---------------------------------------------------------------------------------

data "aws_iam_policy_document" "notebook_assume" {
  for_each = local.notebooks

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["sagemaker.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "notebook" {
  for_each = local.notebooks

  source_policy_documents = concat(
    [data.aws_iam_policy_document.lake_key.json],
    length(local.notebook_queries) == 0 ? [] : [
      module.athena[0].use_policies[local.prefix],
      data.aws_iam_policy_document.notebook_queries[each.key].json,
    ],
  )

  # Clients first request the folder's name as an object, hence the names without a slash.
  statement {
    sid     = "ReadFeatures"
    actions = ["s3:GetObject"]
    resources = flatten([
      for folder in [local.notebook_features, local.notebook_segments] : ["${module.lake.bucket_arn}/${folder}", "${module.lake.bucket_arn}/${folder}/*"]
    ])
  }

  statement {
    sid       = "WriteSegments"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${module.lake.bucket_arn}/${local.notebook_segments}/*"]
  }

  # S3 checks this permission without a prefix for a missing object, hence IfExists.
  statement {
    sid       = "ListFeatures"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["${local.notebook_features}/*", "${local.notebook_segments}/*"]
    }
  }

  statement {
    sid       = "ReadNotebooks"
    actions   = ["s3:GetObject"]
    resources = [for key in values(local.notebook_keys) : "${module.lake.bucket_arn}/${key}"]
  }

  # The group belongs to the account and is shared by all its notebook instances. To debug a start,
  # create it once with the account's retention.
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${local.partition}:logs:${var.region}:${local.account}:log-group:/aws/sagemaker/NotebookInstances:log-stream:${each.value}/*"]
  }
}

# Permissions for Athena queries.
data "aws_iam_policy_document" "notebook_queries" {
  for_each = local.notebook_queries

  statement {
    sid     = "ReadTheCatalog"
    actions = ["glue:GetDatabase", "glue:GetTable", "glue:GetPartitions"]
    resources = [
      "arn:${local.partition}:glue:${var.region}:${local.account}:catalog",
      module.catalog[0].database_arns.gold,
      module.catalog[0].table_arns["gold.${local.notebook_model}"],
    ]
  }

  statement {
    sid       = "GetLakeLocation"
    actions   = ["s3:GetBucketLocation"]
    resources = [module.lake.bucket_arn]
  }

  dynamic "statement" {
    for_each = local.governs ? [true] : []

    # Exception: the action has no resources; Lake Formation's grants limit it.
    content {
      sid       = "GetGrantedData"
      actions   = ["lakeformation:GetDataAccess"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role" "notebook" {
  for_each = local.notebooks

  name                 = "${each.value}-notebook"
  assume_role_policy   = data.aws_iam_policy_document.notebook_assume[each.key].json
  permissions_boundary = local.permissions_boundary
}

resource "aws_iam_role_policy" "notebook" {
  for_each = local.notebooks

  name   = "work"
  role   = aws_iam_role.notebook[each.key].id
  policy = data.aws_iam_policy_document.notebook[each.key].json
}

resource "aws_lakeformation_permissions" "notebook" {
  for_each = local.governs ? local.notebook_queries : {}

  principal   = aws_iam_role.notebook[each.key].arn
  permissions = ["SELECT", "DESCRIBE"]

  table {
    database_name = module.catalog[0].databases.gold
    name          = local.notebook_model
  }

  depends_on = [module.catalog, aws_lakeformation_resource.lake]
}

# ---- network -------------------------------------------------------------------------------------

resource "aws_security_group" "notebook" {
  for_each = local.notebooks

  name        = each.value
  description = "Notebook: HTTPS egress to AWS only, no ingress"
  vpc_id      = module.network[0].vpc_id

  tags = { Name = each.value }
}

resource "aws_vpc_security_group_egress_rule" "notebook_s3" {
  for_each = local.notebooks

  security_group_id = aws_security_group.notebook[each.key].id
  description       = "The lake and results, by the gateway endpoint of S3"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = module.network[0].s3_prefix_list_id
}

resource "aws_vpc_security_group_egress_rule" "notebook_endpoints" {
  for_each = var.connector_egress == "nat" ? {} : local.notebook_queries

  security_group_id            = aws_security_group.notebook[each.key].id
  description                  = "Athena and Glue, by their endpoints"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = module.network[0].endpoint_security_group_id
}

# Athena and Glue have no prefix list, so with a NAT this is HTTPS to any address.
resource "aws_vpc_security_group_egress_rule" "notebook_nat" {
  for_each = var.connector_egress == "nat" ? local.notebook_queries : {}

  security_group_id = aws_security_group.notebook[each.key].id
  description       = "Athena and Glue, by the NAT"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

data "aws_iam_policy_document" "notebook_endpoint" {
  for_each = local.notebook_endpoints

  # Exception: actions of one service for callers of this account; their roles limit the resources.
  statement {
    actions   = each.value
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [local.account]
    }
  }
}

# In one zone, because each is billed by the hour and notebooks can wait for the end of an outage.
resource "aws_vpc_endpoint" "notebook" {
  for_each = local.notebook_endpoints

  vpc_id              = module.network[0].vpc_id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [module.network[0].private_subnet_ids[0]]
  security_group_ids  = [module.network[0].endpoint_security_group_id]
  policy              = data.aws_iam_policy_document.notebook_endpoint[each.key].json

  tags = { Name = "${local.prefix}-${each.key}" }
}

# ---- the notebook --------------------------------------------------------------------------------

# A changed notebook is kept; a newer version of the repository is saved beside it.
resource "aws_sagemaker_notebook_instance_lifecycle_configuration" "notebook" {
  for_each = local.notebooks

  name = each.value

  on_start = base64encode(join("\n", concat(
    ["#!/bin/bash", "set -euo pipefail", "cd /home/ec2-user/SageMaker", ": > /etc/profile.d/shoplake.sh"],
    flatten([
      for file, key in local.notebook_keys : [
        "aws s3 cp --region ${var.region} 's3://${module.lake.bucket}/${key}' '.${file}.new'",
        "if [ ! -e '${file}' ]; then cp '.${file}.new' '${file}'; elif ! cmp -s '.${file}.new' '${file}'; then cp '.${file}.new' 'new_${file}'; fi",
      ]
    ]),
    [for name, value in local.notebook_settings : "echo \"export ${name}='${value}'\" >> /etc/profile.d/shoplake.sh"],
    [
      "chown -R ec2-user:ec2-user .",
      "systemctl --no-block restart jupyter-server", # Notebooks then have the settings.
      "",
    ],
  )))
}

resource "aws_sagemaker_notebook_instance" "notebook" {
  for_each = local.notebooks

  name                   = each.value
  role_arn               = aws_iam_role.notebook[each.key].arn
  instance_type          = var.notebook.instance_type
  volume_size            = var.notebook.volume_gb
  kms_key_id             = module.keys.data_key_arn
  root_access            = "Disabled"
  direct_internet_access = "Disabled"
  subnet_id              = module.network[0].private_subnet_ids[0]
  security_groups        = [aws_security_group.notebook[each.key].id]
  lifecycle_config_name  = aws_sagemaker_notebook_instance_lifecycle_configuration.notebook[each.key].name

  instance_metadata_service_configuration {
    minimum_instance_metadata_service_version = "2"
  }

  depends_on = [aws_iam_role_policy.notebook, aws_vpc_endpoint.notebook, aws_s3_object.notebook]
}
