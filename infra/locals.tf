locals {
  prefix    = "shoplake-${var.environment}"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  # Resources without a service in the local cloud exist on AWS only.
  aws = !var.local

  schemas_dir       = coalesce(var.schemas_dir, "${path.root}/../crates/contracts/schemas")
  statemachines_dir = coalesce(var.statemachines_dir, "${path.root}/../statemachines")

  # Streams and their consumers follow from the contracts, so that a new dataset needs no change
  # here.
  datasets = {
    for file in fileset(local.schemas_dir, "*.json") :
    trimsuffix(file, ".json") => jsondecode(file("${local.schemas_dir}/${file}"))["x-dataset"]
  }
  deliveries = flatten([
    for dataset in values(local.datasets) : [
      for source in flatten([try(dataset.source, [])]) : { source = source, delivery = dataset.delivery }
    ]
  ])
  sources        = toset([for each in local.deliveries : each.source])
  stream_sources = toset([for each in local.deliveries : each.source if each.delivery == "stream"])
  batch_sources  = toset([for each in local.deliveries : each.source if each.delivery == "batch"])

  # Written by the control function only, never part of a Terraform state.
  shops_parameter_path = "/${local.prefix}/shops"
  shops_parameter_arn  = "arn:${local.partition}:ssm:${var.region}:${local.account}:parameter${local.shops_parameter_path}"

  warehouse_workgroup = coalesce(var.warehouse_workgroup, local.prefix)

  # The permissions boundary of every role, created by the bootstrap. The deploy role cannot create
  # a role without it.
  permissions_boundary = local.aws && var.has_permissions_boundary ? "arn:${local.partition}:iam::${local.account}:policy/shoplake-boundary-${var.environment}" : null

  # Common settings of functions.
  function_defaults = {
    prefix               = local.prefix
    packages_dir         = var.packages_dir
    architecture         = var.lambda_architecture
    log_retention_days   = var.log_retention_days
    log_key_arn          = module.keys.data_key_arn
    permissions_boundary = local.permissions_boundary
  }
}
