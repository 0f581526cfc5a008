# A stream and a bronze delivery for each source in the contracts.

module "source" {
  source   = "./modules/source"
  for_each = local.sources

  prefix               = local.prefix
  name                 = each.key
  region               = var.region
  shards               = var.stream_shards
  retention_hours      = var.stream_retention_hours
  lake_bucket_arn      = module.lake.bucket_arn
  key_arn              = module.keys.data_key_arn
  buffer_seconds       = var.firehose_buffer_seconds
  buffer_mb            = var.firehose_buffer_mb
  log_retention_days   = var.log_retention_days
  permissions_boundary = local.permissions_boundary
}
