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
  description = "Event bus of committed partitions."
  value       = module.dirty_queue.bus_name
}

output "dirty_queue_url" {
  description = "Queue of dirty-partition messages."
  value       = module.dirty_queue.url
}

output "dirty_dlq_url" {
  description = "Dead-letter queue of undelivered or failed dirty-partition messages."
  value       = module.dirty_queue.dead_letter_queue_url
}

output "conform_failed_queue_url" {
  description = "Dead-letter queue of conform: positions of failed batches in their streams."
  value       = module.conform_failed.url
}

output "alerts_topic_arn" {
  description = "Topic of alerts."
  value       = module.alerts.topic_arn
}

output "stock_alerts_topic_arn" {
  description = "Topic of stock alerts."
  value       = module.stock_alerts.topic_arn
}

output "shops_parameter_path" {
  description = "Path in Parameter Store of the shops' secrets, which the control function writes."
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
  description = <<-TEXT
    Workgroup and database of load and control, and the role with which COPY reads the lake.
  TEXT
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
  description = <<-TEXT
    Route table of the private subnets, for routes to your own networks; null on the local cloud.
  TEXT
  value       = one(module.network[*].private_route_table_id)
}

output "nat_ip" {
  description = "Address of outbound connections with connector_egress = nat; null otherwise."
  value       = one(module.network[*].nat_ip)
}

output "connector_cluster" {
  description = "ECS cluster of the connectors; null on the local cloud."
  value       = one(aws_ecs_cluster.connectors[*].name)
}

output "connector_repositories" {
  description = "Repository of each connector's image."
  value       = { for name, connector in module.connector : name => connector.repository_url }
}

output "connector_token_parameters" {
  description = <<-TEXT
    Parameter of each shop's token or password (SecureString, with the key secrets_key_arn), by
    connector and shop.
  TEXT
  value       = local.aws ? { for name, shops in local.polled : name => { for shop, api in shops : shop => api.token_parameter } } : {}
}

output "schedules_dlq_url" {
  description = "Dead-letter queue of schedules; null on the local cloud."
  value       = one(module.schedules_dead_letter_queue[*].url)
}

output "warehouse_endpoint" {
  description = <<-TEXT
    Host, port and JDBC URL of the created warehouse, inside the VPC, and the ARN of its admin's
    secret; null for an existing warehouse.
  TEXT
  value = local.creates_warehouse ? {
    host             = module.warehouse[0].endpoint.host
    port             = module.warehouse[0].endpoint.port
    jdbc_url         = module.warehouse[0].jdbc_url
    admin_secret_arn = module.warehouse[0].admin_secret_arn
  } : null
}

output "warehouse_grants" {
  description = <<-TEXT
    Request (JSON) of `aws redshift-data batch-execute-statement` that creates the database users of
    load and control, once and as admin, before the first migrate. For an existing warehouse, add
    the secret of an admin.
  TEXT
  value = jsonencode(merge(
    { WorkgroupName = local.warehouse_workgroup, Database = var.warehouse_database, StatementName = "shoplake-grants", Sqls = local.warehouse_grants },
    local.creates_warehouse ? { SecretArn = module.warehouse[0].admin_secret_arn } : {},
  ))
}

# ---- edge and observability ----------------------------------------------------------------------

output "custom_domain_target" {
  description = "DNS target of the custom domain, for DNS outside Route 53; null without one."
  value       = module.api.domain_target
}

output "api_key_ids" {
  description = <<-TEXT
    Id of the API key of each shop in shop_limits; `aws apigateway get-api-key --include-value
    --api-key <id>` prints the key.
  TEXT
  value       = module.api.api_key_ids
}

output "web_acl_arn" {
  description = "Web ACL of the API; null without one."
  value       = one(module.waf[*].arn)
}

output "dashboard_url" {
  description = "URL of the dashboard; null on the local cloud."
  value       = one(module.dashboard[*].url)
}

output "alarms" {
  description = "Names of the alarms, without shoplake-<environment>-."
  value       = flatten(module.alarms[*].names)
}

# ---- catalog, queries, data science, BI ----------------------------------------------------------

output "databases" {
  description = <<-TEXT
    Glue databases of the lake: bronze, silver, gold, quarantine; none on the local cloud.
  TEXT
  value       = local.aws ? module.catalog[0].databases : {}
}

output "athena" {
  description = <<-TEXT
    Athena: workgroup of the whole lake, workgroups of shops, bucket of results; null on the local
    cloud.
  TEXT
  value = local.aws ? {
    workgroup       = module.athena[0].workgroup_names[local.prefix]
    shop_workgroups = { for shop in keys(local.shop_readers) : shop => module.athena[0].workgroup_names["${local.prefix}-shop-${shop}"] }
    results_bucket  = module.athena[0].results_bucket
  } : null
}

output "reader_policies" {
  description = <<-TEXT
    IAM policy (JSON) of each reader in lake_formation, by workgroup; none without Lake Formation.
  TEXT
  value       = { for workgroup, policy in data.aws_iam_policy_document.reader : workgroup => policy.json }
}

output "notebook_url" {
  description = <<-TEXT
    Name of the notebook instance, which opens through a presigned URL of the console; null without
    one.
  TEXT
  value       = one([for notebook in aws_sagemaker_notebook_instance.notebook : "https://${notebook.url}"])
}

output "power_bi_connection" {
  description = <<-TEXT
    Content of shoplake.pbids, the connection file of Power BI. Null if the warehouse's address is
    unknown.
  TEXT
  value       = local.bi_endpoint == null ? null : templatefile("${path.root}/bi/shoplake.pbids.tftpl", merge(local.bi_endpoint, { database = var.warehouse_database }))
}

output "odbc_connection" {
  description = <<-TEXT
    Connection string of Amazon's ODBC driver for Redshift, without credentials. Null if the
    warehouse's address is unknown.
  TEXT
  value = local.bi_endpoint == null ? null : join(";", [
    "Driver={Amazon Redshift ODBC Driver (x64)}",
    "Server=${local.bi_endpoint.host}",
    "Port=${local.bi_endpoint.port}",
    "Database=${var.warehouse_database}",
    "SSLMode=verify-full",
  ])
}
