# Connection files of BI tools, without credentials.

locals {
  # The address of an existing warehouse is a variable.
  bi_endpoint = local.creates_warehouse ? module.warehouse[0].endpoint : var.warehouse_endpoint
}
