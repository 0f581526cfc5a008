# Jobs too big for a function, without a cloud: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment  = "test"
  packages_dir = "./tests/fixtures/packages"
  schemas_dir  = "./tests/fixtures/schemas"
}

run "glue_log_groups_have_a_retention" {
  command = plan

  # Glue makes up these names: <prefix>/<security configuration>-role/<role>/<stream>.
  assert {
    condition = toset([for group in aws_cloudwatch_log_group.glue : group.name]) == toset([
      for stream in ["error", "output"] : join("/", [
        local.glue_log_prefix, "${aws_glue_security_configuration.transform[0].name}-role", aws_iam_role.glue[0].name, stream,
      ])
    ])
    error_message = "Each of the job's log groups should be there before Glue creates it without retention."
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.glue : group.retention_in_days == var.log_retention_days])
    error_message = "The retention should be that of all logs."
  }
}

run "job_has_the_size_of_its_variable" {
  command = plan

  variables {
    glue = { workers = 4, timeout_minutes = 30, concurrent_runs = 2 }
  }

  assert {
    condition = [
      aws_glue_job.transform[0].number_of_workers, aws_glue_job.transform[0].timeout,
      one(aws_glue_job.transform[0].execution_property).max_concurrent_runs, aws_glue_job.transform[0].max_retries,
    ] == [4, 30, 2, 0]
    error_message = "Workers, minutes and runs should be those of the variable, without retries."
  }
  assert {
    condition     = aws_iam_role.glue[0].name != module.transform.name
    error_message = "The function transform has a role of its name; the job needs another one."
  }
  assert {
    condition     = alltrue([for script in aws_s3_object.glue : startswith(script.key, "code/${local.glue_code}/")])
    error_message = "The folder of scripts should be named by a hash of its content."
  }
}

run "the_local_cloud_has_no_glue" {
  command = plan

  variables {
    local = true
  }

  assert {
    condition = sum([
      length(aws_glue_job.transform), length(aws_glue_security_configuration.transform), length(aws_iam_role.glue),
      length(aws_s3_object.glue), length(aws_cloudwatch_log_group.glue), length(module.silver_to_gold_glue),
    ]) == 0
    error_message = "Nothing of Glue should exist there."
  }
}

run "threshold_above_the_functions_memory_is_rejected" {
  command = plan

  variables {
    glue_above_mb = 4096
  }

  expect_failures = [var.glue_above_mb]
}

run "timeout_above_the_state_machines_is_rejected" {
  command = plan

  variables {
    glue = { timeout_minutes = 90 }
  }

  expect_failures = [var.glue]
}
