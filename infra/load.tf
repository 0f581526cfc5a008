# load: a gold partition to the warehouse. The warehouse reads the lake, the function does not.

module "load" {
  source = "./modules/function"

  name            = "load"
  description     = "Loads a gold partition and its check results into the warehouse."
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
