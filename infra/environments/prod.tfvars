# prod: nothing is lost, and somebody is told.
environment = "prod"
region      = "eu-central-1"

# Streams scale on demand (stream_shards is null) and keep a broken consumer's weekend.
stream_retention_hours = 72

log_retention_days = 90

# About what one event a second around the clock costs (COSTS.md); a shop with more chooses its own.
monthly_budget = { usd = 4000 }

# ---- network, connectors, warehouse ---------------------------------------------------------------------------------

warehouse_capacity = {
  base_rpus = 8
  max_rpus  = 64
}

# Somebody is told; what runs is not stopped before it costs eight times what the base could.
warehouse_usage_limits = {
  daily  = { period = "daily", rpu_hours = 192, action = "emit-metric" }
  weekly = { period = "weekly", rpu_hours = 10752, action = "deactivate" }
}

warehouse_snapshot_days = 14
