# Lake Formation: row permissions in Athena, Spark and Redshift Spectrum. It does not affect the
# pipeline, which uses its roles. Principals with access to objects of the bucket bypass it, so
# readers get none.

locals {
  governs      = local.aws && var.lake_formation != null
  shop_readers = local.governs ? var.lake_formation.shop_readers : {}
  lake_readers = local.governs ? toset(var.lake_formation.lake_readers) : toset([])

  # Tables with a shop_id, which can be granted by shop. Intermediate models in gold have a row per
  # customer as silver has, so readers get both or neither.
  governed_databases = local.governs ? concat(["gold"], var.lake_formation.silver ? ["silver"] : []) : []
  reader_databases   = { for workgroup in keys(local.athena_workgroups) : workgroup => workgroup == local.prefix ? ["gold", "silver"] : local.governed_databases }
  governed_tables = merge([
    for database in local.governed_databases : {
      for name, table in local.catalog[database] : "${database}.${name}" => { database = database, name = name, personal = table.personal }
      if contains([for column in table.columns : column.name], "shop_id") && (var.lake_formation.silver || !try(table.intermediate, false))
    }
  ]...)
  shop_tables = merge([
    for shop, principal in local.shop_readers : {
      for id, table in local.governed_tables : "${shop}/${id}" => merge(table, { id = id, shop = shop, principal = principal })
    }
  ]...)
}

# One per account and region. Without these settings, new databases and tables are granted to all
# principals with IAM permissions (IAMAllowedPrincipals), who would read all rows.
resource "aws_lakeformation_data_lake_settings" "this" {
  count = local.governs && try(var.lake_formation.manage_settings, false) ? 1 : 0

  admins = var.lake_formation.admins
}

# ---- data locations ------------------------------------------------------------------------------

data "aws_iam_policy_document" "lake_formation_assume" {
  count = local.governs ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lakeformation.amazonaws.com"]
    }
    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "lake_formation" {
  count = local.governs ? 1 : 0

  statement {
    sid       = "ReadRegisteredData"
    actions   = ["s3:GetObject"]
    resources = [for layer in ["gold", "silver"] : "${module.lake.bucket_arn}/${layer}/*"]
  }

  statement {
    sid       = "ListRegisteredData"
    actions   = ["s3:ListBucket"]
    resources = [module.lake.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["gold/*", "silver/*"]
    }
  }

  statement {
    sid       = "DecryptRegisteredData"
    actions   = ["kms:Decrypt"]
    resources = [module.keys.data_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}

# The service-linked role may not use the KMS key.
resource "aws_iam_role" "lake_formation" {
  count = local.governs ? 1 : 0

  name                 = "${local.prefix}-lake-formation"
  description          = "Reads the lake for Lake Formation on behalf of readers with grants."
  assume_role_policy   = data.aws_iam_policy_document.lake_formation_assume[0].json
  permissions_boundary = local.permissions_boundary
}

resource "aws_iam_role_policy" "lake_formation" {
  count = local.governs ? 1 : 0

  name   = "read-governed"
  role   = aws_iam_role.lake_formation[0].id
  policy = data.aws_iam_policy_document.lake_formation[0].json
}

resource "aws_lakeformation_resource" "lake" {
  for_each = local.governs ? toset(["gold", "silver"]) : toset([])

  arn      = "${module.lake.bucket_arn}/${each.key}"
  role_arn = aws_iam_role.lake_formation[0].arn

  depends_on = [aws_lakeformation_data_lake_settings.this, aws_iam_role_policy.lake_formation]
}

# ---- readers of one shop -------------------------------------------------------------------------

# The variable's validation prevents ids that could end the SQL literal.
resource "aws_lakeformation_data_cells_filter" "shop" {
  for_each = local.shop_tables

  table_data {
    table_catalog_id = local.account
    database_name    = module.catalog[0].databases[each.value.database]
    table_name       = each.value.name
    name             = "shop-${each.value.shop}"

    row_filter {
      filter_expression = "shop_id = '${each.value.shop}'"
    }
    column_wildcard {
      # Null for none: newer providers report an empty list as a change in every plan.
      excluded_column_names = length(each.value.personal) == 0 ? null : each.value.personal
    }
  }

  depends_on = [module.catalog, aws_lakeformation_resource.lake]
}

resource "aws_lakeformation_permissions" "shop_rows" {
  for_each = local.shop_tables

  principal   = each.value.principal
  permissions = ["SELECT"]

  data_cells_filter {
    table_catalog_id = local.account
    database_name    = module.catalog[0].databases[each.value.database]
    table_name       = each.value.name
    name             = aws_lakeformation_data_cells_filter.shop[each.key].table_data[0].name
  }
}

# A view shows a reader only the rows that it may read of the view's tables, which are marts.
resource "aws_lakeformation_permissions" "shop_views" {
  for_each = merge([
    for shop, principal in local.shop_readers : {
      for view in keys(local.catalog_views) : "${shop}/${view}" => { principal = principal, view = view }
    }
  ]...)

  principal   = each.value.principal
  permissions = ["SELECT", "DESCRIBE"]

  table {
    database_name = module.catalog[0].databases["gold"]
    name          = module.catalog[0].views[each.value.view].name
  }

  depends_on = [aws_lakeformation_data_lake_settings.this]
}

resource "aws_lakeformation_permissions" "shop_databases" {
  for_each = merge([
    for shop, principal in local.shop_readers : { for database in local.governed_databases : "${shop}/${database}" => { principal = principal, database = database } }
  ]...)

  principal   = each.value.principal
  permissions = ["DESCRIBE"]

  database {
    name = module.catalog[0].databases[each.value.database]
  }

  depends_on = [aws_lakeformation_data_lake_settings.this]
}

# ---- readers of all shops ------------------------------------------------------------------------

resource "aws_lakeformation_permissions" "lake_databases" {
  for_each = {
    for pair in setproduct(local.lake_readers, ["gold", "silver"]) : "${pair[0]} ${pair[1]}" => { principal = pair[0], database = pair[1] }
  }

  principal   = each.value.principal
  permissions = ["DESCRIBE"]

  database {
    name = module.catalog[0].databases[each.value.database]
  }

  depends_on = [aws_lakeformation_data_lake_settings.this]
}

resource "aws_lakeformation_permissions" "lake_tables" {
  for_each = {
    for pair in setproduct(local.lake_readers, ["gold", "silver"]) : "${pair[0]} ${pair[1]}" => { principal = pair[0], database = pair[1] }
  }

  principal   = each.value.principal
  permissions = ["SELECT", "DESCRIBE"]

  table {
    database_name = module.catalog[0].databases[each.value.database]
    wildcard      = true
  }

  depends_on = [module.catalog, aws_lakeformation_resource.lake]
}

# The crawler creates tables in bronze.
resource "aws_lakeformation_permissions" "crawler" {
  for_each = local.governs ? local.bronze_crawlers : {}

  principal   = aws_iam_role.crawler[each.key].arn
  permissions = ["CREATE_TABLE", "ALTER", "DESCRIBE"]

  database {
    name = local.bronze_database
  }

  depends_on = [aws_lakeformation_data_lake_settings.this]
}

# ---- IAM policies of readers ---------------------------------------------------------------------

# Attach to the readers: a workgroup, its results, the catalog's metadata, and Lake Formation's
# credentials for granted data. No objects of the lake.
data "aws_iam_policy_document" "reader" {
  for_each = local.governs ? local.athena_workgroups : {}

  source_policy_documents = [module.athena[0].use_policies[each.key]]

  statement {
    sid     = "ReadTheCatalog"
    actions = ["glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables", "glue:GetPartitions"]
    resources = concat(
      ["arn:${local.partition}:glue:${var.region}:${local.account}:catalog"],
      [for database in local.reader_databases[each.key] : module.catalog[0].database_arns[database]],
      [for database in local.reader_databases[each.key] : "arn:${local.partition}:glue:${var.region}:${local.account}:table/${module.catalog[0].databases[database]}/*"],
    )
  }

  # Exception: the action has no resources; Lake Formation's grants limit it.
  statement {
    sid       = "GetGrantedData"
    actions   = ["lakeformation:GetDataAccess"]
    resources = ["*"]
  }
}
