# The state machines: order, retries and alerts of the functions' work.

module "bronze_to_silver" {
  source = "./modules/state-machine"

  name   = "${local.prefix}-bronze-to-silver"
  region = var.region
  definition = templatefile("${local.statemachines_dir}/bronze_to_silver.asl.json", {
    conform_arn      = module.conform.arn
    alerts_topic_arn = module.alerts.topic_arn
  })

  function_arns        = [module.conform.arn]
  alerts               = { topic_arn = module.alerts.topic_arn, key_arn = module.keys.data_key_arn }
  log_level            = var.state_machine_log_level
  log_data             = var.state_machine_log_data
  permissions_boundary = local.permissions_boundary
  tracing              = !var.local # LocalStack does not keep it: every plan would show a change.
  log_retention_days   = var.log_retention_days
  log_key_arn          = module.keys.data_key_arn
}

module "silver_to_gold" {
  source = "./modules/state-machine"

  name   = "${local.prefix}-silver-to-gold"
  region = var.region
  definition = templatefile("${local.statemachines_dir}/silver_to_gold.asl.json", {
    transform_arn = module.transform.arn
    load_arn      = module.load.arn
    notify_arn    = module.notify.arn
    control_arn   = local.control_arn
  })

  function_arns        = [module.transform.arn, module.load.arn, module.notify.arn, local.control_arn]
  log_level            = var.state_machine_log_level
  log_data             = var.state_machine_log_data
  permissions_boundary = local.permissions_boundary
  tracing              = !var.local # LocalStack does not keep it: every plan would show a change.
  log_retention_days   = var.log_retention_days
  log_key_arn          = module.keys.data_key_arn
}

# On AWS only, as Glue.
data "aws_iam_policy_document" "silver_to_gold_glue" {
  count = local.aws ? 1 : 0

  source_policy_documents = [data.aws_iam_policy_document.lake_key.json]

  # The permissions that AWS documents for .sync jobs, which poll without an EventBridge rule.
  statement {
    sid       = "RunJob"
    actions   = ["glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"]
    resources = [aws_glue_job.transform[0].arn]
  }

  statement {
    sid       = "ReadResults"
    actions   = ["s3:GetObject"]
    resources = ["${module.lake.bucket_arn}/jobs/*.result.json"]
  }

  statement {
    sid       = "StartSilverToGold"
    actions   = ["states:StartExecution"]
    resources = [module.silver_to_gold.arn]
  }
}

module "silver_to_gold_glue" {
  source = "./modules/state-machine"
  count  = local.aws ? 1 : 0

  name   = "${local.prefix}-silver-to-gold-glue"
  region = var.region
  type   = "STANDARD" # Express cannot wait for a job.
  definition = templatefile("${local.statemachines_dir}/silver_to_gold_glue.asl.json", {
    glue_job_name      = aws_glue_job.transform[0].name
    lake_bucket        = module.lake.bucket
    silver_to_gold_arn = module.silver_to_gold.arn
    control_arn        = local.control_arn
  })

  policies             = [data.aws_iam_policy_document.silver_to_gold_glue[0].json]
  function_arns        = [local.control_arn]
  log_level            = var.state_machine_log_level
  log_data             = var.state_machine_log_data
  permissions_boundary = local.permissions_boundary
  tracing              = true
  log_retention_days   = var.log_retention_days
  log_key_arn          = module.keys.data_key_arn
}
