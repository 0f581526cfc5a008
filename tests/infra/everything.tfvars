# The optional parts, switched on over prod, so that the rules look at them, too.
alert_email       = "ops@example.com"
stock_alert_email = "stock@example.com"

connector_image_tag = "v1"
connectors = {
  pos       = { acme = { base_url = "https://pos.example.com" } }
  inventory = { acme = { base_url = "https://stock.example.com:8443" } }
  oltp      = { acme = { base_url = "postgres://reader@db.example.com/shop", settings = { OLTP_CURRENCY = "EUR" } } }
}

# A connector that does not end, and adapts to its load.
connector_services = {
  feed = { source = "crm" }
}

custom_domain = {
  name            = "events.example.com"
  certificate_arn = "arn:aws:acm:eu-central-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"
  zone_id         = "Z0000000000000000000"
}

api_key_required = true
shop_limits = {
  acme = { rate = 50, burst = 100, quota = { requests = 1000000, per = "DAY" } }
}

bronze_crawler = true

lake_formation = {
  admins       = ["arn:aws:iam::000000000000:role/deploy"]
  shop_readers = { acme = "arn:aws:iam::000000000000:role/acme" }
  lake_readers = ["arn:aws:iam::000000000000:role/analysts"]
  silver       = true
}

notebook = { queries = true }

monthly_budget = { usd = 1000, emails = ["cfo@example.com"], only_this_environment = true }
tags           = { CostCentre = "data" }
