# staging: prod's shape, so that what works here works there, with less of everything.
environment = "staging"
region      = "eu-central-1"

stream_shards          = 1
stream_retention_hours = 24

log_retention_days = 14

# About what one event a second around the clock costs (COSTS.md).
monthly_budget = { usd = 2500 }

# ---- network, connectors, warehouse ---------------------------------------------------------------------------------

warehouse_capacity = {
  base_rpus = 8
  max_rpus  = 16
}

warehouse_usage_limits = {
  daily  = { period = "daily", rpu_hours = 48, action = "emit-metric" }
  weekly = { period = "weekly", rpu_hours = 672, action = "deactivate" }
}

warehouse_snapshot_days = 1
