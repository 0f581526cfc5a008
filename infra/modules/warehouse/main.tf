# Redshift Serverless: a namespace (the data) and a workgroup (what computes, and bills by the
# second while it does).

locals {
  log_types = toset(["connectionlog", "userlog", "useractivitylog"])
}

# Redshift writes to groups of these names and would create them without retention and key.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338: how long logs are kept is a variable; they are for finding faults, an audit has CloudTrail
  for_each = local.log_types

  name              = "/aws/redshift/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_redshiftserverless_namespace" "this" {
  namespace_name = var.name
  db_name        = var.database
  kms_key_id     = var.key_arn

  # Secrets Manager makes the password up and rotates it. Functions never use it: they sign in with
  # their IAM roles.
  admin_username                   = "shoplake_admin"
  manage_admin_password            = true
  admin_password_secret_kms_key_id = var.secrets_key_arn

  iam_roles            = [var.copy_role_arn]
  default_iam_role_arn = var.copy_role_arn
  log_exports          = local.log_types

  depends_on = [aws_cloudwatch_log_group.this]
}

resource "aws_secretsmanager_secret_rotation" "admin" {
  #checkov:skip=CKV_AWS_304: after how many days is a variable, by default 30

  secret_id          = aws_redshiftserverless_namespace.this.admin_password_secret_arn
  rotate_immediately = false # It is new.

  rotation_rules {
    automatically_after_days = var.admin_password_days
  }
}

resource "aws_security_group" "this" {
  #checkov:skip=CKV2_AWS_5: the workgroup below wears it, a type that the check does not know

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

# What COPY reads. The Data API needs no way in: it does not come by way of the VPC.
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
  enhanced_vpc_routing = true # COPY goes by the endpoint of S3, whose policy names the buckets.

  config_parameter {
    parameter_key   = "require_ssl"
    parameter_value = "true"
  }
  # Without it the user activity log is empty.
  config_parameter {
    parameter_key   = "enable_user_activity_logging"
    parameter_value = "true"
  }
  # Models give text that both engines agree on, and so must what a session prints and parses.
  config_parameter {
    parameter_key   = "datestyle"
    parameter_value = "ISO, MDY"
  }

  lifecycle {
    # Redshift answers with all its parameters, of which this version of the provider does not know
    # the newest: every plan would want to remove those, and every apply would be refused. What is
    # above is set when the workgroup is created.
    ignore_changes = [config_parameter]

    precondition {
      condition     = length(var.subnet_ids) >= 3
      error_message = "Redshift Serverless, reading S3 through the VPC, needs subnets in three zones, and there are ${length(var.subnet_ids)}: name three in availability_zones, deploy to another region, or bring a warehouse along (warehouse_workgroup)."
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
