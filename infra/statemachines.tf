# Retries, alerts and order of the functions' work.

module "bronze_to_silver" {
  source = "./modules/state-machine"

  name   = "${local.prefix}-bronze-to-silver"
  region = var.region
  definition = templatefile("${local.statemachines_dir}/bronze_to_silver.asl.json", {
    conform_arn      = module.conform.arn
    alerts_topic_arn = module.alerts.topic_arn
  })

  function_arns      = [module.conform.arn]
  alerts_topic_arn   = module.alerts.topic_arn
  alerts_key_arn     = module.keys.data_key_arn
  log_level          = var.state_machine_log_level
  tracing            = !var.local # LocalStack has no X-Ray and forgets the setting, which every plan would want to set again.
  log_retention_days = var.log_retention_days
  log_key_arn        = module.keys.data_key_arn
}

module "silver_to_gold" {
  source = "./modules/state-machine"

  name   = "${local.prefix}-silver-to-gold"
  region = var.region
  definition = templatefile("${local.statemachines_dir}/silver_to_gold.asl.json", {
    transform_arn    = module.transform.arn
    load_arn         = module.load.arn
    notify_arn       = module.notify.arn
    alerts_topic_arn = module.alerts.topic_arn
  })

  function_arns      = [module.transform.arn, module.load.arn, module.notify.arn]
  alerts_topic_arn   = module.alerts.topic_arn
  alerts_key_arn     = module.keys.data_key_arn
  log_level          = var.state_machine_log_level
  tracing            = !var.local # LocalStack has no X-Ray and forgets the setting, which every plan would want to set again.
  log_retention_days = var.log_retention_days
  log_key_arn        = module.keys.data_key_arn
}
