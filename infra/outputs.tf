output "api_url" {
  description = "Base URL of the API; append /v1/events/<dataset> or /v1/health."
  value       = var.local ? "${var.local_endpoint}/_aws/execute-api/${module.api.id}/${module.api.stage}" : module.api.invoke_url
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
  value = {
    bronze_to_silver = module.bronze_to_silver.arn
    silver_to_gold   = module.silver_to_gold.arn
  }
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
