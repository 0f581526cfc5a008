# What may go out of the network, and that nothing comes in, in each mode: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1d"] }
  }
}

variables {
  prefix                   = "shoplake-test"
  region                   = "eu-west-1"
  cidr                     = "10.42.0.0/16"
  availability_zones       = null
  egress                   = "public_ip"
  interface_endpoints      = { "ecr.api" = "{}", "ecr.dkr" = "{}", logs = "{}", kinesis-streams = "{}", ssm = "{}" }
  interface_endpoint_zones = 1
  s3_policy                = "{}"
  log_retention_days       = 30
  log_key_arn              = "arn:aws:kms:eu-west-1:000000000000:key/data"
  permissions_boundary     = null
}

run "three_zones_of_the_region" {
  command = plan
  module {
    source = "./modules/network"
  }

  assert {
    condition     = aws_subnet.private[*].availability_zone == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    error_message = "There should be a private subnet in each of the region's first three zones."
  }
  assert {
    condition     = length(distinct(concat(aws_subnet.private[*].cidr_block, aws_subnet.public[*].cidr_block))) == 6
    error_message = "Six subnets should have six blocks of addresses."
  }
}

run "a_region_of_two_zones_has_two_subnets" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    availability_zones = ["us-west-1a", "us-west-1c"]
  }

  assert {
    condition     = aws_subnet.private[*].availability_zone == ["us-west-1a", "us-west-1c"]
    error_message = "Zones that are named should be used, also if they are only two."
  }
}

run "the_default_security_group_is_locked" {
  command = plan
  module {
    source = "./modules/network"
  }

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "The default security group should let nothing in or out."
  }
}

run "flow_logs_are_encrypted_with_retention" {
  command = plan
  module {
    source = "./modules/network"
  }

  assert {
    condition     = aws_cloudwatch_log_group.flow.retention_in_days == 30 && aws_cloudwatch_log_group.flow.kms_key_id == var.log_key_arn
    error_message = "The log group of the flow logs should have a retention and a key."
  }
  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL"
    error_message = "Flow logs should have accepted and rejected traffic."
  }
}

run "public_addresses_cost_no_nat_and_no_endpoints" {
  command = plan
  module {
    source = "./modules/network"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_vpc_endpoint.interface) == 0
    error_message = "In the mode public_ip nothing should be billed by the hour."
  }
  assert {
    condition     = length(aws_route.nat) == 0 && keys(aws_route.internet) == ["internet"]
    error_message = "The private subnets should have no route to the internet, the public ones should."
  }
  assert {
    condition     = alltrue([for subnet in concat(aws_subnet.public, aws_subnet.private) : !subnet.map_public_ip_on_launch])
    error_message = "Subnets should not assign public addresses."
  }
}

run "private_has_endpoints_and_no_internet" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    egress = "private"
  }

  assert {
    condition     = length(aws_internet_gateway.this) == 0 && length(aws_subnet.public) == 0 && length(aws_route.internet) == 0 && length(aws_route.nat) == 0
    error_message = "The mode private should have no internet access."
  }
  assert {
    condition     = keys(aws_vpc_endpoint.interface) == ["ecr.api", "ecr.dkr", "kinesis-streams", "logs", "ssm"]
    error_message = "Every service that a connector calls should have an interface endpoint."
  }
  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "Endpoints should have private DNS."
  }
}

run "nat_has_one_gateway_and_no_endpoints" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    egress = "nat"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 1 && length(aws_vpc_endpoint.interface) == 0
    error_message = "In the mode nat the private subnets should go out by one gateway."
  }
}

run "s3_is_reached_by_its_gateway_endpoint_in_every_mode" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    egress = "private"
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.service_name == "com.amazonaws.eu-west-1.s3"
    error_message = "The lake should be reached by the gateway endpoint of S3, which is free."
  }
}

# ---- the root ------------------------------------------------------------------------------------

run "connectors_have_no_ingress" {
  command = plan
  variables {
    environment  = "test"
    packages_dir = "./tests/fixtures/packages"
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_egress_rule.connector_apis : rule.from_port == 443 && rule.to_port == 443])
    error_message = "Connectors should go out by HTTPS only."
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.connector_apis : rule.cidr_ipv4] == ["0.0.0.0/0"]
    error_message = "In the mode public_ip egress should be open on the API ports."
  }
}

run "private_connectors_reach_named_networks_only" {
  command = plan
  variables {
    environment         = "test"
    packages_dir        = "./tests/fixtures/packages"
    connector_egress    = "private"
    connector_networks  = ["10.8.0.0/16"]
    connector_image_tag = "1"
    connectors          = { pos = { acme = { base_url = "https://pos.internal:8443" } } }
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_egress_rule.connector_apis)) == toset(["10.8.0.0/16:443", "10.8.0.0/16:8443"])
    error_message = "In the mode private connectors should reach the named networks, on 443 and the ports of the base URLs."
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.connector_endpoints) == 1
    error_message = "In the mode private connectors should reach the interface endpoints."
  }
}

run "unknown_egress_is_rejected" {
  command = plan
  variables {
    environment      = "test"
    packages_dir     = "./tests/fixtures/packages"
    connector_egress = "internet"
  }
  expect_failures = [var.connector_egress]
}

run "internet_is_not_a_private_network" {
  command = plan
  variables {
    environment        = "test"
    packages_dir       = "./tests/fixtures/packages"
    connector_networks = ["0.0.0.0/0"]
  }
  expect_failures = [var.connector_networks]
}

run "the_local_cloud_has_no_network" {
  command = plan
  variables {
    environment  = "test"
    local        = true
    packages_dir = "./tests/fixtures/packages"
  }

  assert {
    condition     = length(module.network) == 0 && length(module.connector) == 0 && length(module.warehouse) == 0 && length(aws_ecs_cluster.connectors) == 0
    error_message = "LocalStack has none of these services: nothing of them should exist there."
  }
}
