# prod: long retention, all alarms.
environment = "prod"
region      = "eu-central-1"

# Streams scale on demand (stream_shards is null) and keep 72 hours, for a failed consumer over a
# weekend.
stream_retention_hours = 72

log_retention_days = 90

# One event a second costs about 70 % of it (docs/operations/COSTS.md), below the alert at 80 %.
# Raise it for more events.
monthly_budget = { usd = 5500 }

# The account needs a concurrency of 1000 (docs/operations/DEPLOY.md): AWS keeps 100 unreserved, and
# staging in the same account reserves 70. The jobs share the rest.
reserved_concurrency = {
  webhook = 400
  conform = 200
}

# ---- network, connectors, warehouse --------------------------------------------------------------

warehouse_capacity = {
  base_rpus = 8
  max_rpus  = 64
}

# Continuous loads use the base capacity: 192 RPU hours a day, 1,344 a week. The daily alarm fires
# at 80 % of 480, twice that; the weekly limit stops the warehouse at 2.5 times that, a third of the
# maximum capacity.
warehouse_usage_limits = {
  daily  = { period = "daily", rpu_hours = 480, action = "emit-metric" }
  weekly = { period = "weekly", rpu_hours = 3360, action = "deactivate" }
}

warehouse_snapshot_days = 14
