# Connectors: tasks that poll APIs and databases, started by a schedule for each shop.

locals {
  # Each connector is one entry. `url` and `secret` are its task's variables for the source's URL
  # and the parameter with its token or password.
  #
  # A task derives its period from the clock in the shop's time zone, which its schedule uses too. A
  # late start must not change the period: the stock of an hour is fetched within the next hour, the
  # sales of yesterday on the same day. A database is read in its current state.
  #
  # A source without a contract has no stream, and so no connector.
  scheduled_connectors = { for name, connector in local.known_connectors : name => connector if contains(local.sources, connector.source) }
  known_connectors = {
    pos       = { source = "pos", url = "POS_BASE_URL", secret = "POS_TOKEN_PARAMETER", schedule = "cron(30 4 * * ? *)", start_within_minutes = 30, give_up_after_minutes = 360 }
    inventory = { source = "inventory", url = "INVENTORY_BASE_URL", secret = "INVENTORY_TOKEN_PARAMETER", schedule = "cron(5 * * * ? *)", start_within_minutes = 10, give_up_after_minutes = 30 }
    oltp      = { source = "oltp", url = "OLTP_URL", secret = "OLTP_PASSWORD_PARAMETER", schedule = "cron(30 3 * * ? *)", start_within_minutes = 30, give_up_after_minutes = 360 }
  }

  connectors = merge(
    {
      for name, connector in local.scheduled_connectors : name => merge(connector, {
        cpu         = var.connector_size.cpu
        memory_mb   = var.connector_size.memory_mb
        environment = {}
        service     = null
        tokens      = [for shop in values(local.polled[name]) : shop.token_parameter]
        runs = {
          for id, shop in local.polled[name] : id => {
            schedule  = coalesce(shop.schedule, connector.schedule)
            time_zone = shop.time_zone
            enabled   = shop.enabled
            environment = merge(shop.settings, {
              SHOP_ID            = id
              TIME_ZONE          = shop.time_zone
              (connector.url)    = shop.base_url
              (connector.secret) = shop.token_parameter
              PAGE_SIZE          = tostring(shop.page_size)
            }, shop.refetch_days == null ? {} : { REFETCH_DAYS = tostring(shop.refetch_days) })
          }
        }
      })
    },
    {
      for name, service in var.connector_services : name => {
        source                = service.source
        start_within_minutes  = 10
        give_up_after_minutes = 30
        cpu                   = service.cpu
        memory_mb             = service.memory_mb
        environment           = service.environment
        tokens                = service.token_parameters
        runs                  = {}
        service               = { min_tasks = service.min_tasks, max_tasks = service.max_tasks, target_cpu_percent = service.target_cpu_percent }
      }
    },
  )

  # Defaults of the variable.
  polled = {
    for name in keys(local.scheduled_connectors) : name => {
      for id, shop in lookup(var.connectors, name, {}) : id => merge(shop, {
        token_parameter = coalesce(shop.token_parameter, "${local.connector_parameter_path}/${name}/${id}/token")
      })
    }
  }
  connector_parameter_path = "/${local.prefix}/connectors"

  # HTTPS, for AWS too, and the ports of base URLs.
  connector_ports = toset(concat([443], flatten([
    for shops in values(local.polled) : [
      for shop in values(shops) : try(tonumber(regex("^[a-z]+://(?:[^/@]*@)?[^/@:]+:([0-9]+)", shop.base_url)[0]), startswith(shop.base_url, "https://") ? 443 : 5432)
    ]
  ])))

  # Vendors may change their addresses, so for APIs on the internet egress is open on these ports.
  connector_networks = var.connector_egress == "private" ? toset(var.connector_networks) : toset(["0.0.0.0/0"])
  connector_targets = {
    for pair in setproduct(local.connector_networks, local.connector_ports) : "${pair[0]}:${pair[1]}" => { cidr = pair[0], port = pair[1] }
  }
}

resource "aws_ecs_cluster" "connectors" {
  count = local.aws ? 1 : 0

  name = "${local.prefix}-connectors"

  setting {
    name  = "containerInsights"
    value = var.container_insights
  }

  depends_on = [aws_cloudwatch_log_group.container_insights]
}

# Container Insights would create the group without retention and key.
resource "aws_cloudwatch_log_group" "container_insights" {
  #checkov:skip=CKV_AWS_338: CloudWatch's metrics have the values; these are single measurements
  count = local.aws && var.container_insights != "disabled" ? 1 : 0

  name              = "/aws/ecs/containerinsights/${local.prefix}-connectors/performance"
  retention_in_days = var.log_retention_days
  kms_key_id        = module.keys.data_key_arn
}

resource "aws_ecs_cluster_capacity_providers" "connectors" {
  count = local.aws ? 1 : 0

  cluster_name       = aws_ecs_cluster.connectors[0].name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]

  default_capacity_provider_strategy {
    capacity_provider = var.connector_capacity_provider
    weight            = 1
  }
}

# ---- network access of tasks ---------------------------------------------------------------------

# Connectors have no inbound rule.
resource "aws_security_group" "connectors" {
  #checkov:skip=CKV2_AWS_5: the tasks of connectors use it (modules/connector)

  count = local.aws ? 1 : 0

  name        = "${local.prefix}-connectors"
  description = "Connectors: egress to APIs and AWS, no ingress"
  vpc_id      = module.network[0].vpc_id

  tags = { Name = "${local.prefix}-connectors" }
}

resource "aws_vpc_security_group_egress_rule" "connector_apis" {
  for_each = local.aws ? local.connector_targets : {}

  security_group_id = aws_security_group.connectors[0].id
  description       = "Polled APIs and databases, and AWS over the internet"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.cidr
}

resource "aws_vpc_security_group_egress_rule" "connector_s3" {
  count = local.aws ? 1 : 0

  security_group_id = aws_security_group.connectors[0].id
  description       = "Checkpoints and image layers, by the gateway endpoint of S3"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = module.network[0].s3_prefix_list_id
}

resource "aws_vpc_security_group_egress_rule" "connector_endpoints" {
  count = local.aws && var.connector_egress == "private" ? 1 : 0

  security_group_id            = aws_security_group.connectors[0].id
  description                  = "AWS by interface endpoints"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = module.network[0].endpoint_security_group_id
}

# ---- the connectors ------------------------------------------------------------------------------

module "connector" {
  source   = "./modules/connector"
  for_each = { for name, connector in local.connectors : name => connector if local.aws }

  prefix       = local.prefix
  name         = each.key
  region       = var.region
  architecture = var.lambda_architecture
  image_tag    = var.connector_image_tag
  cpu          = each.value.cpu
  memory_mb    = each.value.memory_mb
  environment  = each.value.environment

  runs                  = each.value.runs
  start_within_minutes  = each.value.start_within_minutes
  give_up_after_minutes = each.value.give_up_after_minutes
  service               = each.value.service

  cluster_arn       = aws_ecs_cluster.connectors[0].arn
  cluster_name      = aws_ecs_cluster_capacity_providers.connectors[0].cluster_name
  capacity_provider = var.connector_capacity_provider
  subnet_ids        = var.connector_egress == "public_ip" ? module.network[0].public_subnet_ids : module.network[0].private_subnet_ids
  security_group_id = aws_security_group.connectors[0].id
  assign_public_ip  = var.connector_egress == "public_ip"

  stream_name           = module.source[each.value.source].stream_name
  stream_arn            = module.source[each.value.source].stream_arn
  lake_bucket           = module.lake.bucket
  lake_bucket_arn       = module.lake.bucket_arn
  token_parameter_arns  = [for name in each.value.tokens : "arn:${local.partition}:ssm:${var.region}:${local.account}:parameter${name}"]
  key_arn               = module.keys.data_key_arn
  secrets_key_arn       = module.keys.secrets_key_arn
  dead_letter_queue_arn = module.schedules_dead_letter_queue[0].arn
  permissions_boundary  = local.permissions_boundary
  log_retention_days    = var.log_retention_days
}

# ---- failed tasks --------------------------------------------------------------------------------

# The address before the module was renamed. Without it, Terraform replaces the queue and loses its
# messages.
moved {
  from = module.schedules_dead_letters
  to   = module.schedules_dead_letter_queue
}

# Dead-letter queue of schedules, and of the alerts below.
module "schedules_dead_letter_queue" {
  source = "./modules/queue"
  count  = local.aws ? 1 : 0

  name              = "${local.prefix}-schedules-dlq"
  region            = var.region
  sending_rule_arns = [for rule in merge(aws_cloudwatch_event_rule.connector_failed, aws_cloudwatch_event_rule.image_findings) : rule.arn]
}

locals {
  # Tasks stopped by a deployment or an operator are not failures.
  connector_failures = {
    ended = {
      description = "A connector's task ended with an exit code other than 0."
      detail = {
        stopCode   = ["EssentialContainerExited"]
        containers = { exitCode = [{ "anything-but" = [0] }] }
      }
      headline = "Connector <group> failed with exit code <code>: <reason>."
      advice = [
        "Exit code 1: the source, the stream or the lake was unavailable; run it again.",
        "Exit code 2: the last line of the log has the configuration error to fix first.",
        "Other exit codes: it was killed, for example out of memory; run it again.",
      ]
    }
    lost = {
      description = "A connector's task could not be started, or its host was terminated."
      detail      = { stopCode = ["TaskFailedToStart", "SpotInterruption", "TerminationNotice"] }
      headline    = "Connector <group> did not complete: <reason>."
      advice = [
        "If it did not start, check the reason: an image without the tag connector_image_tag,",
        "a missing endpoint or public address, or a role. Then run it again.",
      ]
    }
  }
}

resource "aws_cloudwatch_event_rule" "connector_failed" {
  for_each = { for name, failure in local.connector_failures : name => failure if local.aws }

  name        = "${local.prefix}-connector-${each.key}"
  description = each.value.description
  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Task State Change"]
    detail = merge(each.value.detail, {
      clusterArn = [aws_ecs_cluster.connectors[0].arn]
      lastStatus = ["STOPPED"]
    })
  })
}

resource "aws_cloudwatch_event_target" "connector_failed" {
  for_each = aws_cloudwatch_event_rule.connector_failed

  rule      = each.value.name
  target_id = "alerts"
  arn       = module.alerts.topic_arn

  # Each line is a JSON string: the format of multi-line texts in EventBridge.
  input_transformer {
    input_paths = merge(
      { group = "$.detail.group", reason = "$.detail.stoppedReason", task = "$.detail.taskArn", created = "$.detail.createdAt" },
      each.key == "ended" ? { code = "$.detail.containers[0].exitCode" } : {},
    )
    input_template = join("\n", [for line in concat(
      [local.connector_failures[each.key].headline],
      local.connector_failures[each.key].advice,
      [
        "Its period follows from its start, <created> (UTC): pos fetches the day before in the shop's",
        "time zone (time_zone), inventory the last full hour, oltp the tables in their current state.",
        "Task: <task>. Log: /aws/ecs/${local.prefix}-...-connector.",
        "To run it again: Connectors in infra/README.md. Running it twice is safe.",
      ],
    ) : "\"${line}\""])
  }

  dead_letter_config {
    arn = module.schedules_dead_letter_queue[0].arn
  }
  retry_policy {
    maximum_event_age_in_seconds = 24 * 60 * 60
    maximum_retry_attempts       = 185
  }
}

# ---- findings of image scans ---------------------------------------------------------------------

locals {
  image_findings = {
    critical = "CRITICAL"
    high     = "HIGH"
  }
}

# ECR scans each image when it is pushed. These rules turn findings into alerts.
resource "aws_cloudwatch_event_rule" "image_findings" {
  for_each = { for name, severity in local.image_findings : name => severity if local.aws }

  name        = "${local.prefix}-image-findings-${each.key}"
  description = "The scan of a connector's image has findings of severity ${each.value}."
  event_pattern = jsonencode({
    source        = ["aws.ecr"]
    "detail-type" = ["ECR Image Scan"]
    detail = {
      scan-status             = ["COMPLETE"]
      repository-name         = [{ prefix = "${local.prefix}-" }]
      finding-severity-counts = { (each.value) = [{ numeric = [">", 0] }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "image_findings" {
  for_each = aws_cloudwatch_event_rule.image_findings

  rule      = each.value.name
  target_id = "alerts"
  arn       = module.alerts.topic_arn

  input_transformer {
    input_paths = {
      count      = "$.detail.finding-severity-counts.${local.image_findings[each.key]}"
      digest     = "$.detail.image-digest"
      repository = "$.detail.repository-name"
      tags       = "$.detail.image-tags"
    }
    input_template = join("\n", [for line in [
      "The image <repository>, tags <tags>, has <count> findings of severity ${local.image_findings[each.key]}.",
      "List them: aws ecr describe-image-scan-findings --repository-name <repository>",
      "  --image-id imageDigest=<digest>",
      "Update the named crate or base image, build and push (docs/operations/DEPLOY.md, step 8).",
    ] : "\"${line}\""])
  }

  dead_letter_config {
    arn = module.schedules_dead_letter_queue[0].arn
  }
  retry_policy {
    maximum_event_age_in_seconds = 24 * 60 * 60
    maximum_retry_attempts       = 185
  }
}
