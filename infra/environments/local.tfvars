# The local cloud: small batches and buffers, for freshness within seconds on a laptop.
environment = "local"
local       = true

stream_shards           = 1
stream_retention_hours  = 24
firehose_buffer_seconds = 1
log_retention_days      = 1

conform_batches = {
  size           = 1000
  window_seconds = 1
}

dispatch_batches = {
  size           = 100
  window_seconds = 1
}

sweep_schedule = "rate(1 minute)"
max_runs       = 8

# A demo does not wait until the next hour.
old_day_limits = {
  computed = 500
}
