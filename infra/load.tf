# A gold partition -> the warehouse. The warehouse itself reads the lake, so the function may not.

module "load" {
  source = "./modules/function"

  name            = "load"
  description     = "Copies one gold partition, and what its checks found, into the warehouse, in one transaction."
  defaults        = local.function_defaults
  memory_mb       = 256
  timeout_seconds = 60
  policy          = module.warehouse_access.send_sql_policy

  environment = {
    LAKE_BUCKET             = module.lake.bucket
    WAREHOUSE_WORKGROUP     = local.warehouse_workgroup
    WAREHOUSE_DATABASE      = var.warehouse_database
    WAREHOUSE_COPY_ROLE_ARN = module.warehouse_access.copy_role_arn
  }
}
