# What every use of a module can rely on: encryption, no way in, TLS, a place for what failed, an
# end to logs. `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  prefix               = "shoplake-test"
  region               = "eu-west-1"
  key_arn              = "arn:aws:kms:eu-west-1:000000000000:key/data"
  log_key_arn          = "arn:aws:kms:eu-west-1:000000000000:key/data"
  log_retention_days   = 30
  permissions_boundary = null
}

run "the_lake_is_encrypted_closed_and_versioned" {
  command = plan
  module {
    source = "./modules/lake"
  }
  variables {
    bucket              = "shoplake-test-lake"
    bronze_archive_days = 90
    force_destroy       = false
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default) == { sse_algorithm = "aws:kms", kms_master_key_id = var.key_arn }
    error_message = "The lake should be encrypted with the key that it is given."
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "The lake should block public access in all four ways."
  }
  assert {
    condition     = one(aws_s3_bucket_versioning.this.versioning_configuration).status == "Enabled"
    error_message = "The lake should keep versions, which undo accidents."
  }
  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.this.statement :
      statement.effect == "Deny" && contains(statement.actions, "s3:*") && one(statement.condition).variable == "aws:SecureTransport" && one(one(statement.condition).values) == "false"
    ])
    error_message = "The lake should require TLS."
  }
}

run "a_queue_is_encrypted_and_takes_tls_only" {
  command = plan
  module {
    source = "./modules/queue"
  }
  variables {
    name = "shoplake-test-queue"
  }

  assert {
    condition     = aws_sqs_queue.this.sqs_managed_sse_enabled
    error_message = "A queue should be encrypted."
  }
  assert {
    condition     = anytrue([for statement in data.aws_iam_policy_document.this.statement : statement.effect == "Deny" && one(statement.condition).variable == "aws:SecureTransport"])
    error_message = "A queue should require TLS."
  }
  assert {
    condition     = aws_sqs_queue.this.message_retention_seconds == 14 * 24 * 60 * 60
    error_message = "A queue should keep messages for two weeks, the maximum."
  }
}

run "dirty_queue_has_a_dead_letter_queue" {
  command = plan
  module {
    source = "./modules/dirty-queue"
  }
  variables {
    lake_bucket        = "shoplake-test-lake"
    object_prefixes    = ["silver/"]
    visibility_seconds = 365
  }

  assert {
    condition     = length(aws_cloudwatch_event_target.this) == 2 && alltrue([for target in aws_cloudwatch_event_target.this : length(target.dead_letter_config) == 1])
    error_message = "Both rules should have a place for events that cannot be delivered."
  }
}

run "a_topic_is_encrypted_and_takes_tls_only" {
  command = plan
  module {
    source = "./modules/alerts"
  }
  variables {
    name  = "shoplake-test-alerts"
    email = null
  }

  assert {
    condition     = aws_sns_topic.this.kms_master_key_id == var.key_arn
    error_message = "A topic should be encrypted with the key that it is given."
  }
  assert {
    condition     = anytrue([for statement in data.aws_iam_policy_document.this.statement : statement.effect == "Deny" && try(one(statement.condition).variable, "") == "aws:SecureTransport"])
    error_message = "A topic should require TLS."
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.this.statement :
      (length(statement.condition) == 0) == contains(one(statement.principals).identifiers, "events.amazonaws.com") if statement.effect == "Allow"
    ])
    error_message = "Alarms should have an account condition; events should have none, because it would reject all."
  }
}

run "a_source_is_encrypted_from_stream_to_bronze" {
  command = plan
  module {
    source = "./modules/source"
  }
  variables {
    name            = "web"
    shards          = null
    retention_hours = 24
    lake_bucket_arn = "arn:aws:s3:::shoplake-test-lake"
    buffer_seconds  = 300
    buffer_mb       = 64
  }

  assert {
    condition     = aws_kinesis_stream.this.encryption_type == "KMS" && aws_kinesis_stream.this.kms_key_id == var.key_arn
    error_message = "A stream should be encrypted with the key that it is given."
  }
  assert {
    condition     = one(aws_kinesis_firehose_delivery_stream.this.extended_s3_configuration).kms_key_arn == var.key_arn
    error_message = "Bronze should be written with the key that the source is given."
  }
  assert {
    condition     = startswith(one(aws_kinesis_firehose_delivery_stream.this.extended_s3_configuration).error_output_prefix, "quarantine/_delivery/web/")
    error_message = "What Firehose cannot deliver should be kept in quarantine, apart from datasets."
  }
  assert {
    condition     = aws_cloudwatch_log_group.firehose.retention_in_days == 30 && aws_cloudwatch_log_group.firehose.kms_key_id == var.key_arn
    error_message = "Firehose's log should be encrypted, and end."
  }
}

run "a_function_logs_into_its_own_encrypted_group" {
  command = plan
  module {
    source = "./modules/function"
  }
  variables {
    name            = "conform"
    description     = "Test."
    memory_mb       = 128
    timeout_seconds = 10
    policy          = "{}"
    environment     = {}
    defaults = {
      prefix               = "shoplake-test"
      packages_dir         = "./tests/fixtures/packages"
      architecture         = "arm64"
      log_retention_days   = 30
      log_key_arn          = "arn:aws:kms:eu-west-1:000000000000:key/data"
      permissions_boundary = null
    }
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/shoplake-test-conform" && aws_cloudwatch_log_group.this.retention_in_days == 30 && aws_cloudwatch_log_group.this.kms_key_id == var.log_key_arn
    error_message = "A function's log group should exist before it does, encrypted and with an end."
  }
  assert {
    condition     = one(aws_lambda_function.this.tracing_config).mode == "Active"
    error_message = "A function should be traced."
  }
}
