# The warehouse: who reaches it, what it may cost, whose it is: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::000000000000:role/mocked" }
  }
  mock_resource "aws_redshiftserverless_namespace" {
    defaults = {
      arn                       = "arn:aws:redshift-serverless:eu-west-1:000000000000:namespace/generated"
      admin_password_secret_arn = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:redshift!shoplake-test-admin"
    }
  }
  mock_resource "aws_redshiftserverless_workgroup" {
    defaults = {
      arn      = "arn:aws:redshift-serverless:eu-west-1:000000000000:workgroup/generated"
      endpoint = [{ address = "shoplake-test.example", port = 5439, vpc_endpoint = [] }]
    }
  }
  mock_resource "aws_scheduler_schedule_group" {
    defaults = { arn = "arn:aws:scheduler:eu-west-1:000000000000:schedule-group/shoplake-test-warehouse" }
  }
}

# ---- the module: nothing is deployed, as the provider is a mock ----------------------------------

variables {
  name                  = "shoplake-test"
  region                = "eu-west-1"
  database              = "shoplake"
  base_rpus             = 8
  max_rpus              = 16
  usage_limits          = { daily = { period = "daily", rpu_hours = 96, action = "emit-metric" }, weekly = { period = "weekly", rpu_hours = 900, action = "deactivate" } }
  vpc_id                = "vpc-1"
  subnet_ids            = ["subnet-1", "subnet-2", "subnet-3"]
  s3_prefix_list_id     = "pl-1"
  client_cidrs          = ["10.8.0.0/16"]
  copy_role_arn         = "arn:aws:iam::000000000000:role/shoplake-test-warehouse-copy"
  key_arn               = "arn:aws:kms:eu-west-1:000000000000:key/data"
  secrets_key_arn       = "arn:aws:kms:eu-west-1:000000000000:key/secrets"
  admin_password_days   = 30
  snapshot_days         = 7
  dead_letter_queue_arn = "arn:aws:sqs:eu-west-1:000000000000:shoplake-test-schedules-dlq"
  log_retention_days    = 30
  log_key_arn           = "arn:aws:kms:eu-west-1:000000000000:key/data"
  permissions_boundary  = null
}

run "warehouse_is_private_and_requires_tls" {
  module {
    source = "./modules/warehouse"
  }

  assert {
    condition     = !aws_redshiftserverless_workgroup.this.publicly_accessible && aws_redshiftserverless_workgroup.this.enhanced_vpc_routing
    error_message = "The warehouse should have no public address, and read the lake by the VPC's endpoint."
  }
  assert {
    condition     = { for parameter in aws_redshiftserverless_workgroup.this.config_parameter : parameter.parameter_key => parameter.parameter_value }["require_ssl"] == "true"
    error_message = "Connections without TLS should be refused."
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.clients : rule.cidr_ipv4] == ["10.8.0.0/16"]
    error_message = "The named networks, and only they, should reach the warehouse."
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.s3.prefix_list_id == "pl-1" && aws_vpc_security_group_egress_rule.s3.cidr_ipv4 == null
    error_message = "The warehouse should reach S3 and nothing else."
  }
}

run "admin_password_is_managed" {
  module {
    source = "./modules/warehouse"
  }

  assert {
    condition     = aws_redshiftserverless_namespace.this.manage_admin_password && aws_redshiftserverless_namespace.this.admin_user_password == null
    error_message = "Secrets Manager should make the password up; none should be in the state."
  }
  assert {
    condition     = aws_redshiftserverless_namespace.this.admin_password_secret_kms_key_id == var.secrets_key_arn && aws_redshiftserverless_namespace.this.kms_key_id == var.key_arn
    error_message = "Data and secret should be encrypted with the environment's keys."
  }
  assert {
    condition     = aws_secretsmanager_secret_rotation.admin.rotation_rules[0].automatically_after_days == 30
    error_message = "The password should be replaced by itself."
  }
}

run "audit_logs_are_enabled" {
  module {
    source = "./modules/warehouse"
  }

  assert {
    condition     = toset(keys(aws_cloudwatch_log_group.this)) == aws_redshiftserverless_namespace.this.log_exports
    error_message = "Every log that is exported should have a group with retention and key."
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.this : group.retention_in_days == 30 && group.kms_key_id == var.log_key_arn && startswith(group.name, "/aws/redshift/shoplake-test/")])
    error_message = "Audit logs should be encrypted, have a retention, and the names that Redshift uses."
  }
}

run "usage_is_limited" {
  module {
    source = "./modules/warehouse"
  }

  assert {
    condition     = aws_redshiftserverless_usage_limit.this["weekly"].breach_action == "deactivate" && aws_redshiftserverless_usage_limit.this["weekly"].amount == 900
    error_message = "Beyond the weekly limit the warehouse should stop."
  }
  assert {
    condition     = aws_redshiftserverless_workgroup.this.max_capacity == 16
    error_message = "It should not scale beyond its most."
  }
}

run "snapshot_role_has_only_that_permission" {
  module {
    source = "./modules/warehouse"
  }

  assert {
    condition     = toset(flatten([for statement in data.aws_iam_policy_document.snapshots["daily"].statement : statement.actions])) == toset(["redshift-serverless:CreateSnapshot", "sqs:SendMessage", "kms:Decrypt"])
    error_message = "The schedule's role should take snapshots, report failures and read its schedule."
  }
  assert {
    condition     = jsondecode(aws_scheduler_schedule.snapshots["daily"].target[0].input) == { NamespaceName = "shoplake-test", SnapshotName = "shoplake-test-<aws.scheduler.execution-id>", RetentionPeriod = 7 }
    error_message = "Each snapshot should have a name of its own, and an end."
  }
  assert {
    condition     = strcontains(aws_scheduler_schedule.snapshots["daily"].target[0].input, "<aws.scheduler.execution-id>")
    error_message = "Scheduler finds its keyword only in plain angle brackets."
  }
}

run "no_snapshots_by_default" {
  module {
    source = "./modules/warehouse"
  }
  variables {
    snapshot_days = null
  }

  assert {
    condition     = length(aws_scheduler_schedule.snapshots) == 0 && length(aws_iam_role.snapshots) == 0
    error_message = "Without days there should be neither schedule nor role."
  }
}

# ---- the root ------------------------------------------------------------------------------------

run "warehouse_is_created_by_default" {
  command = plan
  variables {
    environment  = "test"
    packages_dir = "./tests/fixtures/packages"
  }

  assert {
    condition     = length(module.warehouse) == 1 && output.warehouse.workgroup == "shoplake-test"
    error_message = "Without warehouse_workgroup there should be one called after the environment."
  }
}

run "existing_warehouse_gets_only_users" {
  command = plan
  variables {
    environment             = "test"
    packages_dir            = "./tests/fixtures/packages"
    warehouse_workgroup     = "analytics"
    warehouse_workgroup_arn = "arn:aws:redshift-serverless:eu-west-1:000000000000:workgroup/1"
  }

  assert {
    condition     = length(module.warehouse) == 0 && output.warehouse.workgroup == "analytics" && output.warehouse_endpoint == null
    error_message = "With warehouse_workgroup nothing should be created."
  }
  assert {
    condition     = !can(jsondecode(output.warehouse_grants).SecretArn) && jsondecode(output.warehouse_grants).WorkgroupName == "analytics"
    error_message = "The admin's secret of an existing warehouse should be unknown."
  }
  assert {
    condition = alltrue([
      for role in ["shoplake-test-control", "shoplake-test-load"] : contains(jsondecode(output.warehouse_grants).Sqls, "grant role shoplake_pipeline to \"IAMR:${role}\"")
    ])
    error_message = "Both functions that send SQL should get the pipeline's role."
  }
}

run "capacity_comes_in_steps" {
  command = plan
  variables {
    environment        = "test"
    packages_dir       = "./tests/fixtures/packages"
    warehouse_capacity = { base_rpus = 12 }
  }
  expect_failures = [var.warehouse_capacity]
}

run "internet_is_not_an_allowed_client" {
  command = plan
  variables {
    environment            = "test"
    packages_dir           = "./tests/fixtures/packages"
    warehouse_client_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.warehouse_client_cidrs]
}
