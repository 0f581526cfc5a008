# staging: the shape of prod, with smaller sizes.
environment = "staging"
region      = "eu-central-1"

stream_shards          = 1
stream_retention_hours = 24

log_retention_days = 14

# One event a second costs about 70 % of it (docs/operations/COSTS.md), below the alert at 80 %.
monthly_budget = { usd = 5000 }

# The account needs a concurrency of 200 for it: AWS keeps 100 unreserved
# (docs/operations/DEPLOY.md).
reserved_concurrency = {
  webhook = 50
  conform = 20
}

# ---- network, connectors, warehouse --------------------------------------------------------------

warehouse_capacity = {
  base_rpus = 8
  max_rpus  = 16
}

# Continuous loads use the base capacity: 192 RPU hours a day, 1,344 a week. At 1.5 times that, the
# daily alarm fires (from 80 % on), and the weekly limit stops the warehouse.
warehouse_usage_limits = {
  daily  = { period = "daily", rpu_hours = 288, action = "emit-metric" }
  weekly = { period = "weekly", rpu_hours = 2016, action = "deactivate" }
}

warehouse_snapshot_days = 1
