# Redshift Serverless: a namespace (data) and a workgroup (compute, billed by the second).

locals {
  log_types = toset(["connectionlog", "userlog", "useractivitylog"])
}

# Redshift logs to groups of these names and would create them without retention and key.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338: retention is a variable; logs are for debugging, CloudTrail for audits
  for_each = local.log_types

  name              = "/aws/redshift/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_redshiftserverless_namespace" "this" {
  namespace_name = var.name
  db_name        = var.database
  kms_key_id     = var.key_arn

  # Secrets Manager generates and rotates the password. Functions use their IAM roles.
  admin_username                   = "shoplake_admin"
  manage_admin_password            = true
  admin_password_secret_kms_key_id = var.secrets_key_arn

  iam_roles            = [var.copy_role_arn]
  default_iam_role_arn = var.copy_role_arn
  log_exports          = local.log_types

  depends_on = [aws_cloudwatch_log_group.this]
}

resource "aws_secretsmanager_secret_rotation" "admin" {
  #checkov:skip=CKV_AWS_304: the rotation period is a variable, by default 30 days

  secret_id          = aws_redshiftserverless_namespace.this.admin_password_secret_arn
  rotate_immediately = false # The password is new.

  rotation_rules {
    automatically_after_days = var.admin_password_days
  }
}

resource "aws_security_group" "this" {
  #checkov:skip=CKV2_AWS_5: the workgroup below uses it, an unknown type for the check

  name        = "${var.name}-warehouse"
  description = "Redshift Serverless: SQL from named networks, and S3"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-warehouse" }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = toset(var.client_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "SQL from ${each.key}"
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
  cidr_ipv4         = each.key
}

# For COPY. The Data API does not use the VPC.
resource "aws_vpc_security_group_egress_rule" "s3" {
  security_group_id = aws_security_group.this.id
  description       = "The lake, by the gateway endpoint of S3"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = var.s3_prefix_list_id
}

resource "aws_redshiftserverless_workgroup" "this" {
  namespace_name       = aws_redshiftserverless_namespace.this.namespace_name
  workgroup_name       = var.name
  base_capacity        = var.base_rpus
  max_capacity         = var.max_rpus
  port                 = var.port
  subnet_ids           = var.subnet_ids
  security_group_ids   = [aws_security_group.this.id]
  publicly_accessible  = false
  enhanced_vpc_routing = true # COPY uses the S3 endpoint with its policy.

  config_parameter {
    parameter_key   = "require_ssl"
    parameter_value = "true"
  }
  # Required for the user activity log.
  config_parameter {
    parameter_key   = "enable_user_activity_logging"
    parameter_value = "true"
  }
  # Sessions must format and parse text as both engines do.
  config_parameter {
    parameter_key   = "datestyle"
    parameter_value = "ISO, MDY"
  }

  lifecycle {
    # Redshift returns parameters that this provider version does not know: every plan would remove
    # them, and every apply would fail. The settings above apply on creation.
    ignore_changes = [config_parameter]

    precondition {
      condition = length(var.subnet_ids) >= 3
      error_message = join(" ", [
        "Redshift Serverless needs subnets in three zones, got ${length(var.subnet_ids)}:",
        "set three availability_zones, deploy to another region,",
        "or use an existing warehouse (warehouse_workgroup).",
      ])
    }
  }
}

resource "aws_redshiftserverless_usage_limit" "this" {
  for_each = var.usage_limits

  resource_arn  = aws_redshiftserverless_workgroup.this.arn
  usage_type    = "serverless-compute"
  amount        = each.value.rpu_hours
  period        = each.value.period
  breach_action = each.value.action
}
