# The web ACL, against floods and probes of the API.

module "waf" {
  source = "./modules/waf"
  count  = local.aws && var.waf.enabled ? 1 : 0

  name               = local.prefix
  region             = var.region
  stage_arn          = module.api.stage_arn
  requests_per_ip    = var.waf.requests_per_ip
  requests_per_shop  = coalesce(var.waf.requests_per_shop, min(10000, var.waf.requests_per_ip))
  log_retention_days = var.log_retention_days
  log_key_arn        = module.keys.data_key_arn
}
