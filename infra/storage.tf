# Keys, the lake, and the alerts topic.

locals {
  # The AWS services that publish alerts.
  alerting_services = concat(["cloudwatch.amazonaws.com", "events.amazonaws.com"], var.monthly_budget == null ? [] : ["budgets.amazonaws.com"])
}

module "keys" {
  source = "./modules/keys"

  prefix               = local.prefix
  region               = var.region
  deletion_window_days = var.local ? 7 : 30
  publishing_services  = local.alerting_services
}

module "lake" {
  source = "./modules/lake"

  bucket              = "${local.prefix}-lake-${local.account}"
  key_arn             = module.keys.data_key_arn
  bronze_archive_days = var.bronze_archive_days
  force_destroy       = var.local || var.force_destroy
}

module "alerts" {
  source = "./modules/alerts"

  name                = "${local.prefix}-alerts"
  key_arn             = module.keys.data_key_arn
  email               = var.alert_email
  publishing_services = local.alerting_services
}

module "warehouse_access" {
  source = "./modules/warehouse-access"

  prefix               = local.prefix
  region               = var.region
  workgroup_arn        = local.creates_warehouse ? module.warehouse[0].workgroup_arn : var.warehouse_workgroup_arn
  lake_bucket_arn      = module.lake.bucket_arn
  lake_key_arn         = module.keys.data_key_arn
  readable_by_copying  = ["gold/*"]
  permissions_boundary = local.permissions_boundary
}
