# How connectors run, what they may do, and who hears of it when they fail: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] }
  }
  mock_resource "aws_ecr_repository" {
    defaults = {
      arn            = "arn:aws:ecr:eu-west-1:000000000000:repository/shoplake-test-pos-connector"
      repository_url = "000000000000.dkr.ecr.eu-west-1.amazonaws.com/shoplake-test-pos-connector"
    }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:000000000000:log-group:/aws/ecs/shoplake-test-pos-connector" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::000000000000:role/mocked" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:000000000000:task-definition/shoplake-test-pos-connector:7" }
  }
  mock_resource "aws_scheduler_schedule_group" {
    defaults = { arn = "arn:aws:scheduler:eu-west-1:000000000000:schedule-group/shoplake-test-pos-connector" }
  }
}

# ---- the module: nothing is deployed, as the provider is a mock ----------------------------------

variables {
  prefix       = "shoplake-test"
  name         = "pos"
  region       = "eu-west-1"
  architecture = "arm64"
  image_tag    = "2026-11-21"
  cpu          = 256
  memory_mb    = 512
  runs = {
    acme = {
      schedule    = "cron(30 4 * * ? *)"
      time_zone   = "Europe/Berlin"
      enabled     = true
      environment = { SHOP_ID = "acme", POS_BASE_URL = "https://pos.example.com", POS_TOKEN_PARAMETER = "/shoplake-test/connectors/pos/acme/token" }
    }
  }
  cluster_arn           = "arn:aws:ecs:eu-west-1:000000000000:cluster/shoplake-test-connectors"
  cluster_name          = "shoplake-test-connectors"
  capacity_provider     = "FARGATE"
  subnet_ids            = ["subnet-1", "subnet-2", "subnet-3"]
  security_group_id     = "sg-1"
  assign_public_ip      = true
  stream_name           = "shoplake-test-pos"
  stream_arn            = "arn:aws:kinesis:eu-west-1:000000000000:stream/shoplake-test-pos"
  lake_bucket           = "shoplake-test-lake"
  lake_bucket_arn       = "arn:aws:s3:::shoplake-test-lake"
  token_parameter_arns  = ["arn:aws:ssm:eu-west-1:000000000000:parameter/shoplake-test/connectors/pos/acme/token"]
  key_arn               = "arn:aws:kms:eu-west-1:000000000000:key/data"
  secrets_key_arn       = "arn:aws:kms:eu-west-1:000000000000:key/secrets"
  dead_letter_queue_arn = "arn:aws:sqs:eu-west-1:000000000000:shoplake-test-schedules-dlq"
  log_retention_days    = 30
  permissions_boundary  = null
}

run "a_task_is_locked_down" {
  module {
    source = "./modules/connector"
  }

  assert {
    condition     = alltrue([for container in jsondecode(aws_ecs_task_definition.this["tagged"].container_definitions) : container.readonlyRootFilesystem && container.user == "65532:65532" && contains(container.linuxParameters.capabilities.drop, "ALL")])
    error_message = "A connector should run without root, without capabilities and with a read-only file system."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["tagged"].container_definitions)[0].linuxParameters.initProcessEnabled
    error_message = "Without an init process a connector takes thirty seconds to stop."
  }
  assert {
    condition     = aws_ecs_task_definition.this["tagged"].runtime_platform[0].cpu_architecture == "ARM64"
    error_message = "The task should run on the processor that its image was built for."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["tagged"].container_definitions)[0].image == "000000000000.dkr.ecr.eu-west-1.amazonaws.com/shoplake-test-pos-connector:2026-11-21"
    error_message = "The task should run the tagged image of its own repository."
  }
  assert {
    condition     = { for variable in jsondecode(aws_ecs_task_definition.this["tagged"].container_definitions)[0].environment : variable.name => variable.value } == { RUST_LOG = "info", STREAM_NAME = "shoplake-test-pos", LAKE_BUCKET = "shoplake-test-lake" }
    error_message = "The task should have stream, lake and log level; the schedule adds the shop's variables."
  }
}

run "images_are_scanned_encrypted_and_never_overwritten" {
  module {
    source = "./modules/connector"
  }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "Images should be scanned, and their tags never move."
  }
  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].kms_key == var.key_arn
    error_message = "Images should be encrypted with the environment's key."
  }
  assert {
    condition     = length(jsondecode(aws_ecr_lifecycle_policy.this.policy).rules) == 2
    error_message = "Old images should expire."
  }
}

run "task_role_has_exactly_the_needed_permissions" {
  module {
    source = "./modules/connector"
  }

  assert {
    condition = toset(flatten([for statement in data.aws_iam_policy_document.task.statement : statement.actions])) == toset([
      "kinesis:PutRecords", "kms:GenerateDataKey", "kms:Decrypt", "s3:GetObject", "s3:PutObject", "s3:ListBucket", "ssm:GetParameter",
    ])
    error_message = "The task's role should have exactly the actions that connectors/common calls."
  }
  assert {
    condition     = !contains(flatten([for statement in data.aws_iam_policy_document.task.statement : statement.resources]), "*")
    error_message = "Each of the task's permissions should name its resources."
  }
  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.task.statement : statement.resources if statement.sid == "WriteCheckpoints"]) == ["arn:aws:s3:::shoplake-test-lake/state/connectors/pos/*"]
    error_message = "A connector should reach its own checkpoints, not those of others."
  }
  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.task.statement : statement.resources if statement.sid == "ReadTokens"]) == ["arn:aws:ssm:eu-west-1:000000000000:parameter/shoplake-test/connectors/pos/acme/token"]
    error_message = "A connector should read the tokens that it is given, no other parameter."
  }
}

run "a_schedule_may_start_one_family_on_one_cluster" {
  module {
    source = "./modules/connector"
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.schedule.statement : statement.resources if contains(statement.actions, "ecs:RunTask")]) == ["arn:aws:ecs:eu-west-1:000000000000:task-definition/shoplake-test-pos-connector:*"]
    error_message = "The schedule's role should run its own family only."
  }
  assert {
    condition     = one(flatten([for statement in data.aws_iam_policy_document.schedule.statement : statement.condition[*].values if contains(statement.actions, "ecs:RunTask")])) == var.cluster_arn
    error_message = "The schedule's role should run tasks on the connectors' cluster only."
  }
  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.schedule.statement : statement.condition[*].values if contains(statement.actions, "iam:PassRole")]) == ["ecs-tasks.amazonaws.com"]
    error_message = "Roles should be passed to tasks only."
  }
}

run "run_has_its_shop_retries_and_dead_letter_queue" {
  module {
    source = "./modules/connector"
  }

  assert {
    condition     = tomap({ for variable in jsondecode(aws_scheduler_schedule.this["acme"].target[0].input).containerOverrides[0].environment : variable.name => variable.value }) == var.runs.acme.environment
    error_message = "The schedule should set the API."
  }
  assert {
    condition     = jsondecode(aws_scheduler_schedule.this["acme"].target[0].input).containerOverrides[0].name == jsondecode(aws_ecs_task_definition.this["tagged"].container_definitions)[0].name
    error_message = "The schedule should set variables of the existing container."
  }
  assert {
    condition     = aws_scheduler_schedule.this["acme"].target[0].dead_letter_config[0].arn == var.dead_letter_queue_arn && aws_scheduler_schedule.this["acme"].target[0].retry_policy[0].maximum_retry_attempts > 0
    error_message = "A failed start should be retried and then go to the dead-letter queue."
  }
  assert {
    condition     = aws_scheduler_schedule.this["acme"].schedule_expression_timezone == "Europe/Berlin" && aws_scheduler_schedule.this["acme"].kms_key_arn == var.key_arn
    error_message = "The schedule should be in the shop's time zone, and encrypted."
  }
  assert {
    condition     = aws_scheduler_schedule.this["acme"].target[0].ecs_parameters[0].group == "pos:acme"
    error_message = "The task's group should name the shop, which alerts contain."
  }
}

run "without_an_image_there_is_no_task" {
  module {
    source = "./modules/connector"
  }
  variables {
    image_tag = null
  }

  assert {
    condition     = length(aws_ecs_task_definition.this) == 0 && length(aws_scheduler_schedule.this) == 0 && aws_ecr_repository.this.name == "shoplake-test-pos-connector"
    error_message = "Before the first push only the repository should exist."
  }
}

run "scheduled_connector_is_not_a_service" {
  module {
    source = "./modules/connector"
  }

  assert {
    condition     = length(aws_ecs_service.this) == 0 && length(aws_appautoscaling_policy.this) == 0
    error_message = "A service would restart a connector that ends."
  }
}

run "service_scales_with_its_load" {
  module {
    source = "./modules/connector"
  }
  variables {
    name    = "feed"
    runs    = {}
    service = { min_tasks = 2, max_tasks = 6, target_cpu_percent = 60 }
  }

  assert {
    condition     = aws_ecs_service.this["this"].desired_count == 2 && length(aws_scheduler_schedule.this) == 0
    error_message = "A service should begin with the least number of tasks, and have no schedules."
  }
  assert {
    condition     = aws_appautoscaling_target.this["this"].max_capacity == 6 && aws_appautoscaling_policy.this["this"].target_tracking_scaling_policy_configuration[0].target_value == 60
    error_message = "It should scale to at most six tasks, to keep processors at 60 percent."
  }
  assert {
    condition     = aws_appautoscaling_target.this["this"].resource_id == "service/shoplake-test-connectors/shoplake-test-feed-connector"
    error_message = "What is scaled should be that service."
  }
  assert {
    condition     = aws_ecs_service.this["this"].deployment_circuit_breaker[0].rollback
    error_message = "A failed release should be rolled back."
  }
}

# ---- the root ------------------------------------------------------------------------------------

run "shops_are_polled_and_failures_are_alerted" {
  command = plan
  variables {
    environment         = "test"
    packages_dir        = "./tests/fixtures/packages"
    connector_image_tag = "1"
    connectors = {
      pos       = { acme = { base_url = "https://pos.example.com", time_zone = "Europe/Berlin", refetch_days = 2 }, other = { base_url = "https://other.example.com" } }
      inventory = { acme = { base_url = "https://stock.example.com", schedule = "cron(10 * * * ? *)" } }
      oltp      = { acme = { base_url = "postgres://reader@db.example.com/shop", settings = { OLTP_CURRENCY = "EUR", SHOP_ID = "other" } } }
    }
  }

  assert {
    condition     = module.connector["pos"].schedules == ["acme", "other"] && module.connector["inventory"].schedules == ["acme"] && module.connector["oltp"].schedules == ["acme"]
    error_message = "Each shop of each connector should have a schedule."
  }
  assert {
    condition     = local.connectors.pos.runs.acme.schedule == "cron(30 4 * * ? *)" && local.connectors.inventory.runs.acme.schedule == "cron(10 * * * ? *)"
    error_message = "POS should be polled daily by default, and inventory as configured."
  }
  assert {
    condition     = local.known_connectors.inventory.schedule == "cron(5 * * * ? *)" && local.connectors.oltp.runs.acme.schedule == "cron(30 3 * * ? *)"
    error_message = "By default inventory should be polled hourly, and a database read daily."
  }
  assert {
    condition = local.connectors.oltp.runs.acme.environment == {
      SHOP_ID                 = "acme"
      OLTP_URL                = "postgres://reader@db.example.com/shop"
      OLTP_PASSWORD_PARAMETER = "/shoplake-test/connectors/oltp/acme/token"
      OLTP_CURRENCY           = "EUR"
      PAGE_SIZE               = "500"
      TIME_ZONE               = "UTC"
    }
    error_message = "A shop's settings should be added to its task's variables without replacing any."
  }
  assert {
    condition     = local.connector_ports == toset([443, 5432])
    error_message = "The default port should be PostgreSQL's."
  }
  assert {
    condition     = output.connector_token_parameters.pos.other == "/shoplake-test/connectors/pos/other/token"
    error_message = "A token's place should follow from connector and shop."
  }

  assert {
    condition     = local.connectors.pos.runs.acme.time_zone == "Europe/Berlin" && local.connectors.pos.runs.acme.environment.TIME_ZONE == "Europe/Berlin"
    error_message = "Schedule and task should use the shop's time zone."
  }
  assert {
    condition     = local.connectors.pos.runs.acme.environment.REFETCH_DAYS == "2" && !can(local.connectors.pos.runs.other.environment.REFETCH_DAYS)
    error_message = "By default the connector should choose the refetched days."
  }

  # The clock says what a run fetches: 04:30, and half an hour, and six hours of retries are the
  # same day by the shop's clock.
  assert {
    condition     = 5 + local.known_connectors.inventory.start_within_minutes + local.known_connectors.inventory.give_up_after_minutes < 60
    error_message = "A late run of inventory should not start: it would fetch another hour."
  }
  assert {
    condition     = 4 * 60 + 30 + local.known_connectors.pos.start_within_minutes + local.known_connectors.pos.give_up_after_minutes < 24 * 60
    error_message = "A late run of pos should not start: it would fetch another day."
  }

  # Who hears of a task that failed.
  assert {
    condition     = toset(keys(aws_cloudwatch_event_target.connector_failed)) == toset(["ended", "lost"])
    error_message = "Failed tasks and failed starts should be alerted."
  }
  assert {
    condition = alltrue([
      for target in aws_cloudwatch_event_target.connector_failed : alltrue([
        for line in split("\n", target.input_transformer[0].input_template) : can(regex("^\"[^\"]+\"$", line))
      ])
    ])
    error_message = "Each line of a text should be a JSON string."
  }
  # A variable in the text that has no path would be sent as it is written.
  assert {
    condition = alltrue([
      for target in aws_cloudwatch_event_target.connector_failed : alltrue([
        for name in flatten(regexall("<([a-z]+)>", target.input_transformer[0].input_template)) : contains(keys(target.input_transformer[0].input_paths), name)
      ])
    ])
    error_message = "Every variable of an alert's text should have a path."
  }
}

run "time_zone_must_be_an_iana_name" {
  command = plan
  variables {
    environment         = "test"
    packages_dir        = "./tests/fixtures/packages"
    connector_image_tag = "1"
    connectors          = { pos = { acme = { base_url = "https://pos.example.com", time_zone = "+02:00" } } }
  }
  expect_failures = [var.connectors]
}

run "only_pos_has_refetch_days" {
  command = plan
  variables {
    environment         = "test"
    packages_dir        = "./tests/fixtures/packages"
    connector_image_tag = "1"
    connectors          = { inventory = { acme = { base_url = "https://stock.example.com", refetch_days = 2 } } }
  }
  expect_failures = [var.connectors]
}

run "a_token_is_sent_over_https_only" {
  command = plan
  variables {
    environment         = "test"
    packages_dir        = "./tests/fixtures/packages"
    connector_image_tag = "1"
    connectors          = { pos = { acme = { base_url = "http://pos.example.com" } } }
  }
  expect_failures = [var.connectors]
}

run "a_database_is_read_by_tls_only" {
  command = plan
  variables {
    environment         = "test"
    packages_dir        = "./tests/fixtures/packages"
    connector_image_tag = "1"
    connectors          = { oltp = { acme = { base_url = "postgres://reader@db.example.com/shop?sslmode=disable", settings = { OLTP_CURRENCY = "EUR" } } } }
  }
  expect_failures = [var.connectors]
}

run "database_url_has_no_password" {
  command = plan
  variables {
    environment         = "test"
    packages_dir        = "./tests/fixtures/packages"
    connector_image_tag = "1"
    connectors          = { oltp = { acme = { base_url = "postgres://reader:secret@db.example.com/shop", settings = { OLTP_CURRENCY = "EUR" } } } }
  }
  expect_failures = [var.connectors]
}

run "a_database_s_amounts_have_a_currency" {
  command = plan
  variables {
    environment         = "test"
    packages_dir        = "./tests/fixtures/packages"
    connector_image_tag = "1"
    connectors          = { oltp = { acme = { base_url = "postgres://reader@db.example.com/shop" } } }
  }
  expect_failures = [var.connectors]
}

run "shops_need_an_image" {
  command = plan
  variables {
    environment  = "test"
    packages_dir = "./tests/fixtures/packages"
    connectors   = { pos = { acme = { base_url = "https://pos.example.com" } } }
  }
  expect_failures = [var.connectors]
}

run "unknown_connector_is_rejected" {
  command = plan
  variables {
    environment         = "test"
    packages_dir        = "./tests/fixtures/packages"
    connector_image_tag = "1"
    connectors          = { fax = { acme = { base_url = "https://fax.example.com" } } }
  }
  expect_failures = [var.connectors]
}
