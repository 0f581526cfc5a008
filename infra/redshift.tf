# The warehouse, unless an existing one is used (warehouse_workgroup).

locals {
  creates_warehouse = local.aws && var.warehouse_workgroup == null && var.warehouse_workgroup_arn == null

  # Functions authenticate with their roles, which are the database users "IAMR:<role>". They get
  # only the permissions that the pipeline needs: no superuser, no access to other users' objects
  # outside this database.
  warehouse_users = [for role in [module.control.name, module.load.name] : "\"IAMR:${role}\""]
  warehouse_grants = concat(
    ["create role shoplake_pipeline"],
    [for user in local.warehouse_users : "create user ${user} password disable"],
    [for user in local.warehouse_users : "grant role shoplake_pipeline to ${user}"],
    [
      "grant create, temporary on database ${var.warehouse_database} to role shoplake_pipeline",
      "grant create, usage for schemas in database ${var.warehouse_database} to role shoplake_pipeline",
      "grant select, insert, update, delete, alter, drop, truncate for tables in database ${var.warehouse_database} to role shoplake_pipeline",
    ],
  )
}

module "warehouse" {
  source = "./modules/warehouse"
  count  = local.creates_warehouse ? 1 : 0

  name     = local.warehouse_workgroup
  region   = var.region
  database = var.warehouse_database

  base_rpus    = var.warehouse_capacity.base_rpus
  max_rpus     = var.warehouse_capacity.max_rpus
  usage_limits = var.warehouse_usage_limits

  vpc_id            = module.network[0].vpc_id
  subnet_ids        = module.network[0].private_subnet_ids
  s3_prefix_list_id = module.network[0].s3_prefix_list_id
  client_cidrs      = var.warehouse_client_cidrs

  copy_role_arn         = module.warehouse_access.copy_role_arn
  key_arn               = module.keys.data_key_arn
  secrets_key_arn       = module.keys.secrets_key_arn
  admin_password_days   = var.warehouse_admin_password_days
  snapshot_days         = var.warehouse_snapshot_days
  dead_letter_queue_arn = module.schedules_dead_letter_queue[0].arn
  permissions_boundary  = local.permissions_boundary
  log_retention_days    = var.log_retention_days
  log_key_arn           = module.keys.data_key_arn
}
