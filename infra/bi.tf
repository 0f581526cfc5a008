# What BI tools need to know of the warehouse. Who signs in, and with what, is never in it.

locals {
  # Of a warehouse that was brought along, its owner knows the address.
  bi_endpoint = local.creates_warehouse ? module.warehouse[0].endpoint : var.warehouse_endpoint
}
