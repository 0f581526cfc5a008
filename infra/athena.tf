# Athena: queries of the lake about a day, a shop or a fault. Dashboards use the warehouse.

locals {
  athena_workgroups = merge(
    { (local.prefix) = { description = "Queries over the whole lake.", prefix = "all/" } },
    # A reader of one shop has its own workgroup: results are files, and a shared folder would show
    # those of all shops.
    { for shop in keys(local.shop_readers) : "${local.prefix}-shop-${shop}" => {
      description = "Queries of the shop ${shop}."
      prefix      = "shops/${shop}/"
    } },
  )

  # Saved queries: <title>.sql, whose first comment lines are the description. Names in braces are
  # those of the databases.
  queries_dir = "${path.root}/queries"
  queries = local.aws ? {
    for file in fileset(local.queries_dir, "*.sql") : trimsuffix(file, ".sql") => templatefile("${local.queries_dir}/${file}", module.catalog[0].databases)
  } : {}
}

module "athena" {
  source = "./modules/athena"
  count  = local.aws ? 1 : 0

  bucket         = "${local.prefix}-athena-${local.account}"
  account        = local.account
  region         = var.region
  key_arn        = module.keys.data_key_arn
  results_days   = var.athena.results_days
  max_scanned_gb = var.athena.max_scanned_gb
  workgroups     = local.athena_workgroups
}

resource "aws_athena_named_query" "this" {
  for_each = local.queries

  name        = replace(each.key, "_", " ")
  description = trimspace(replace(regex("^(?:--.*\n)+", each.value), "/\n?-- */", " "))
  workgroup   = module.athena[0].workgroup_names[local.prefix]
  database    = module.catalog[0].databases.gold
  query       = each.value
}
