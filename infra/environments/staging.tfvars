# staging: prod's shape, so that what works here works there, with less of everything.
environment = "staging"
region      = "eu-central-1"

stream_shards          = 1
stream_retention_hours = 24

log_retention_days = 14

# One event a second around the clock costs some 70 % of it (docs/operations/COSTS.md), so that the notice at 80 %
# is of something unusual.
monthly_budget = { usd = 5000 }

# ---- network, connectors, warehouse --------------------------------------------------------------

warehouse_capacity = {
  base_rpus = 8
  max_rpus  = 16
}

# Steady loads keep the base busy: 192 RPU hours a day, 1,344 a week. Half as much again rings the
# alarm in a day (from 80 % on), and stops the warehouse in a week. A third more is possible.
warehouse_usage_limits = {
  daily  = { period = "daily", rpu_hours = 288, action = "emit-metric" }
  weekly = { period = "weekly", rpu_hours = 2016, action = "deactivate" }
}

warehouse_snapshot_days = 1
