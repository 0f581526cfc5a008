# A VPC with private subnets, without ingress; `egress` selects its egress.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

# Zone names differ between accounts and regions; opt-in zones (local zones) have no Fargate.
data "aws_availability_zones" "this" {
  count = var.availability_zones == null ? 1 : 0

  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  # Redshift Serverless requires three zones; connectors need two.
  available = coalesce(var.availability_zones, one(data.aws_availability_zones.this[*].names))
  zones     = slice(local.available, 0, min(3, length(local.available)))

  reaches_internet = contains(["public_ip", "nat"], var.egress)
  public_zones     = local.reaches_internet ? local.zones : []
  gateways         = local.reaches_internet ? { internet = var.prefix } : {}
  nats             = var.egress == "nat" ? { first = local.zones[0] } : {}

  # Of a /16: private subnets of 4091 addresses, public ones of 251. Redshift uses many addresses.
  private_cidrs = [for index, zone in local.zones : cidrsubnet(var.cidr, 4, index)]
  public_cidrs  = [for index, zone in local.public_zones : cidrsubnet(var.cidr, 8, 240 + index)]
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true # Required for the private DNS names of endpoints.

  tags = { Name = var.prefix }
}

# The default security group, for resources without one, allows no traffic.
resource "aws_default_security_group" "this" {
  vpc_id  = aws_vpc.this.id
  ingress = []
  egress  = []

  tags = { Name = "${var.prefix}-default-locked" }
}

resource "aws_subnet" "private" {
  count = length(local.zones)

  vpc_id                  = aws_vpc.this.id
  availability_zone       = local.zones[count.index]
  cidr_block              = local.private_cidrs[count.index]
  map_public_ip_on_launch = false

  tags = { Name = "${var.prefix}-private-${local.zones[count.index]}" }
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.prefix}-private" }
}

resource "aws_route_table_association" "private" {
  count = length(aws_subnet.private)

  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

# ---- egress --------------------------------------------------------------------------------------

resource "aws_internet_gateway" "this" {
  for_each = local.gateways

  vpc_id = aws_vpc.this.id

  tags = { Name = each.value }
}

# Tasks request public addresses; the subnet assigns none.
resource "aws_subnet" "public" {
  count = length(local.public_zones)

  vpc_id                  = aws_vpc.this.id
  availability_zone       = local.public_zones[count.index]
  cidr_block              = local.public_cidrs[count.index]
  map_public_ip_on_launch = false

  tags = { Name = "${var.prefix}-public-${local.public_zones[count.index]}" }
}

resource "aws_route_table" "public" {
  for_each = local.gateways

  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.prefix}-public" }
}

resource "aws_route" "internet" {
  for_each = local.gateways

  route_table_id         = aws_route_table.public[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[each.key].id
}

resource "aws_route_table_association" "public" {
  count = length(aws_subnet.public)

  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public["internet"].id
}

# One for all zones: polling continues after an outage of its zone.
resource "aws_eip" "nat" {
  for_each = local.nats

  domain = "vpc"

  tags = { Name = "${var.prefix}-nat" }
}

resource "aws_nat_gateway" "this" {
  for_each = local.nats

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[0].id

  tags = { Name = var.prefix }

  # The internet gateway must exist first (AWS documentation).
  depends_on = [aws_internet_gateway.this]
}

resource "aws_route" "nat" {
  for_each = local.nats

  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.key].id
}

# ---- endpoints -----------------------------------------------------------------------------------

# Free of charge; keeps traffic of the lake off the internet and the NAT.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat([aws_route_table.private.id], values(aws_route_table.public)[*].id)
  policy            = var.s3_policy

  tags = { Name = "${var.prefix}-s3" }
}

resource "aws_security_group" "endpoints" {
  name        = "${var.prefix}-endpoints"
  description = "Interface endpoints: HTTPS from the private subnets"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.prefix}-endpoints" }
}

# Security groups are stateful, so there is no egress rule.
resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = { for index, cidr in local.private_cidrs : local.zones[index] => cidr }

  security_group_id = aws_security_group.endpoints.id
  description       = "HTTPS from private subnet ${each.key}"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.egress == "private" ? var.interface_endpoints : {}

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  policy              = each.value
  security_group_ids  = [aws_security_group.endpoints.id]
  # Billed by zone; tasks of other zones use it too (interface_endpoint_zones).
  subnet_ids = slice(aws_subnet.private[*].id, 0, min(var.interface_endpoint_zones, length(local.zones)))

  tags = { Name = "${var.prefix}-${each.key}" }
}

# ---- flow logs -----------------------------------------------------------------------------------

resource "aws_cloudwatch_log_group" "flow" {
  #checkov:skip=CKV_AWS_338: retention is a variable; logs are for debugging, CloudTrail for audits

  name              = "/aws/vpc/${var.prefix}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.current.partition}:ec2:${var.region}:${data.aws_caller_identity.current.account_id}:vpc-flow-log/*"]
    }
  }
}

data "aws_iam_policy_document" "flow" {
  statement {
    sid       = "WriteFlowLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["${aws_cloudwatch_log_group.flow.arn}:*"]
  }

  # Exception: a list has all log groups of the account and region as its resource.
  statement {
    sid       = "DescribeLogGroups"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["arn:${data.aws_partition.current.partition}:logs:${var.region}:${data.aws_caller_identity.current.account_id}:log-group:*"]
  }
}

resource "aws_iam_role" "flow" {
  name                 = "${var.prefix}-flow-logs"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "flow" {
  name   = "write"
  role   = aws_iam_role.flow.id
  policy = data.aws_iam_policy_document.flow.json
}

resource "aws_flow_log" "this" {
  vpc_id                   = aws_vpc.this.id
  traffic_type             = "ALL"
  log_destination_type     = "cloud-watch-logs"
  log_destination          = aws_cloudwatch_log_group.flow.arn
  iam_role_arn             = aws_iam_role.flow.arn
  max_aggregation_interval = 600

  tags = { Name = var.prefix }

  depends_on = [aws_iam_role_policy.flow]
}
