# prod: nothing is lost, and somebody is told.
environment = "prod"
region      = "eu-central-1"

# Streams scale on demand (stream_shards is null) and keep a broken consumer's weekend.
stream_retention_hours = 72

log_retention_days = 90

# One event a second around the clock costs some 70 % of it (docs/operations/COSTS.md), so that the notice at 80 %
# is of something unusual; a shop with more events chooses its own.
monthly_budget = { usd = 5500 }

# ---- network, connectors, warehouse --------------------------------------------------------------

warehouse_capacity = {
  base_rpus = 8
  max_rpus  = 64
}

# Steady loads keep the base busy: 192 RPU hours a day, 1,344 a week. The alarm rings at 80 % of a
# limit, which is twice that in a day; two and a half times that in a week stops the warehouse, a
# third of what it could scale to.
warehouse_usage_limits = {
  daily  = { period = "daily", rpu_hours = 480, action = "emit-metric" }
  weekly = { period = "weekly", rpu_hours = 3360, action = "deactivate" }
}

warehouse_snapshot_days = 14
