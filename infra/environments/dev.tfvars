# dev: all parts in their smallest size. Data may be late and can be sent again.
environment = "dev"
region      = "eu-central-1"

force_destroy = true

# A shard costs 13 USD a month, an idle stream on demand 35.
stream_shards          = 1
stream_retention_hours = 24

log_retention_days      = 7
state_machine_log_level = "ALL" # Few executions: the log of each step is cheap.

# Developers send few and small requests.
waf = { enabled = false }

conform_batches = {
  window_seconds = 30
}

# Alarms are less strict.
alarms = {
  lag_seconds = 900
  kpi_seconds = 3600
}

# Idle, it costs about 240 a month, mostly the warehouse (docs/operations/COSTS.md).
monthly_budget = { usd = 400 }

# ---- network, connectors, warehouse --------------------------------------------------------------

container_insights          = "disabled"
connector_capacity_provider = "FARGATE_SPOT"

warehouse_capacity = {
  base_rpus = 8
  max_rpus  = 8
}

# Two hours of compute a day, which continuous traffic uses up: a load takes a minute at least.
# Later loads fail, with one alert for each partition; the sweep loads them the next day. For
# continuous use set emit-metric.
warehouse_usage_limits = {
  daily = { period = "daily", rpu_hours = 16, action = "deactivate" }
}

# ---- catalog, queries, governance ----------------------------------------------------------------

athena = {
  results_days   = 1
  max_scanned_gb = 10
}

# ---- jobs too big for a function -----------------------------------------------------------------

glue = {
  workers         = 4
  timeout_minutes = 30
  concurrent_runs = 1
}
