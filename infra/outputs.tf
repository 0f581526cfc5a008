output "api_url" {
  description = "Base URL of the API; append /v1/events/<dataset> or /v1/health."
  value       = var.local ? "${var.local_endpoint}/_aws/execute-api/${module.api.id}/${module.api.stage}" : module.api.url
}

output "lake_bucket" {
  description = "The lake's bucket."
  value       = module.lake.bucket
}

output "streams" {
  description = "Name of each source's stream, and of the delivery that writes it to bronze."
  value       = { for source in local.sources : source => module.source[source].stream_name }
}

output "functions" {
  description = "Name of each function."
  value = {
    webhook   = module.webhook.name
    conform   = module.conform.name
    dispatch  = module.dispatch.name
    transform = module.transform.name
    load      = module.load.name
    notify    = module.notify.name
    control   = module.control.name
  }
}

output "state_machine_arns" {
  description = "ARN of each state machine."
  value = merge(
    {
      bronze_to_silver = module.bronze_to_silver.arn
      silver_to_gold   = module.silver_to_gold.arn
    },
    local.aws ? { silver_to_gold_glue = module.silver_to_gold_glue[0].arn } : {},
  )
}

output "event_bus" {
  description = "Bus on which a committed partition is announced."
  value       = module.dirty_queue.bus_name
}

output "dirty_queue_url" {
  description = "Queue of dirty marks, to which a backfill writes."
  value       = module.dirty_queue.url
}

output "dirty_dlq_url" {
  description = "Queue of marks that could not be delivered or dispatched."
  value       = module.dirty_queue.dead_letters_url
}

output "conform_failed_queue_url" {
  description = "Queue that says which stream records conform gave up on."
  value       = module.conform_failed.url
}

output "alerts_topic_arn" {
  description = "Topic on which failures are reported."
  value       = module.alerts.topic_arn
}

output "stock_alerts_topic_arn" {
  description = "Topic on which people are told of stock that runs low or out."
  value       = module.stock_alerts.topic_arn
}

output "shops_parameter_path" {
  description = "Path in Parameter Store below which the control function keeps each shop's secrets."
  value       = local.shops_parameter_path
}

output "data_key_arn" {
  description = "KMS key of the lake, the streams, the alerts and the logs."
  value       = module.keys.data_key_arn
}

output "secrets_key_arn" {
  description = "KMS key of the shops' secrets."
  value       = module.keys.secrets_key_arn
}

output "warehouse" {
  description = "Workgroup and database that load and control talk to, and the role that COPY reads the lake with."
  value = {
    workgroup     = local.warehouse_workgroup
    database      = var.warehouse_database
    copy_role_arn = module.warehouse_access.copy_role_arn
  }
}

# ---- network, connectors, warehouse --------------------------------------------------------------

output "vpc_id" {
  description = "VPC of the connectors and the warehouse; null on the local cloud."
  value       = one(module.network[*].vpc_id)
}

output "private_route_table_id" {
  description = "Route table of the private subnets, to which routes to networks of one's own are added; null on the local cloud."
  value       = one(module.network[*].private_route_table_id)
}

output "nat_ip" {
  description = "Address that vendors see, with connector_egress = nat; null otherwise."
  value       = one(module.network[*].nat_ip)
}

output "connector_cluster" {
  description = "ECS cluster of the connectors; null on the local cloud."
  value       = one(aws_ecs_cluster.connectors[*].name)
}

output "connector_repositories" {
  description = "Where each connector's image is pushed to."
  value       = { for name, connector in module.connector : name => connector.repository_url }
}

output "connector_token_parameters" {
  description = "Parameter (SecureString, under the key secrets_key_arn) in which each shop's token or password has to be put, by connector and shop."
  value       = local.aws ? { for name, shops in local.polled : name => { for shop, api in shops : shop => api.token_parameter } } : {}
}

output "schedules_dlq_url" {
  description = "Queue of what schedules could not start; null on the local cloud."
  value       = one(module.schedules_dead_letters[*].url)
}

output "warehouse_endpoint" {
  description = "Host, port and JDBC URL of the created warehouse, inside the VPC, and its admin's secret; null where it was brought along."
  value = local.creates_warehouse ? {
    host             = module.warehouse[0].endpoint.host
    port             = module.warehouse[0].endpoint.port
    jdbc_url         = module.warehouse[0].jdbc_url
    admin_secret_arn = module.warehouse[0].admin_secret_arn
  } : null
}

output "warehouse_grants" {
  description = "Request (JSON) of `aws redshift-data batch-execute-statement` that gives load and control their users in the warehouse, once and by its admin, before the first migrate. For one that was brought along, add the secret of an admin."
  value = jsonencode(merge(
    { WorkgroupName = local.warehouse_workgroup, Database = var.warehouse_database, StatementName = "shoplake-grants", Sqls = local.warehouse_grants },
    local.creates_warehouse ? { SecretArn = module.warehouse[0].admin_secret_arn } : {},
  ))
}

# ---- edge and observability ----------------------------------------------------------------------

output "custom_domain_target" {
  description = "Where DNS outside of Route 53 has to point the custom domain; null without one."
  value       = module.api.domain_target
}

output "api_key_ids" {
  description = "Id of the API key of each shop in shop_limits; `aws apigateway get-api-key --include-value --api-key <id>` shows the key to hand out."
  value       = module.api.api_key_ids
}

output "web_acl_arn" {
  description = "Web ACL before the API; null without one."
  value       = one(module.waf[*].arn)
}

output "dashboard_url" {
  description = "Where to look how it goes; null in the local cloud."
  value       = one(module.dashboard[*].url)
}

output "alarms" {
  description = "Names of the alarms, without shoplake-<environment>-."
  value       = flatten(module.alarms[*].names)
}

# ---- catalog, queries, data science, BI ----------------------------------------------------------

output "databases" {
  description = "Glue databases of the lake's tables: bronze, silver, gold, quarantine; none on the local cloud."
  value       = local.aws ? module.catalog[0].databases : {}
}

output "athena" {
  description = "Workgroup for queries over the whole lake, the workgroups of single shops, and the bucket of results; null on the local cloud."
  value = local.aws ? {
    workgroup       = module.athena[0].workgroup_names[local.prefix]
    shop_workgroups = { for shop in keys(local.shop_readers) : shop => module.athena[0].workgroup_names["${local.prefix}-shop-${shop}"] }
    results_bucket  = module.athena[0].results_bucket
  } : null
}

output "reader_policies" {
  description = "IAM policy (JSON) to attach to the readers that lake_formation names, by their workgroup; none without Lake Formation."
  value       = { for workgroup, policy in data.aws_iam_policy_document.reader : workgroup => policy.json }
}

output "notebook_url" {
  description = "Where the notebook instance is opened, through a presigned URL of the console; null without one."
  value       = one([for notebook in aws_sagemaker_notebook_instance.notebook : "https://${notebook.url}"])
}

output "power_bi_connection" {
  description = "Content of shoplake.pbids, which opens Power BI at the warehouse: terraform output -raw power_bi_connection > shoplake.pbids. Null where the warehouse's address is not known."
  value       = local.bi_endpoint == null ? null : templatefile("${path.root}/bi/shoplake.pbids.tftpl", merge(local.bi_endpoint, { database = var.warehouse_database }))
}

output "odbc_connection" {
  description = "Connection string of Amazon's ODBC driver for Redshift, to which the way of signing in is added (BI.md). Null where the warehouse's address is not known."
  value = local.bi_endpoint == null ? null : join(";", [
    "Driver={Amazon Redshift ODBC Driver (x64)}",
    "Server=${local.bi_endpoint.host}",
    "Port=${local.bi_endpoint.port}",
    "Database=${var.warehouse_database}",
    "SSLMode=verify-full",
  ])
}
