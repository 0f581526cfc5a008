# What follows from the contracts, without a cloud: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment  = "test"
  packages_dir = "./tests/fixtures/packages"
  schemas_dir  = "./tests/fixtures/schemas"
}

run "each_source_gets_a_stream" {
  command = plan

  assert {
    condition     = output.streams == { pos = "shoplake-test-pos", stock = "shoplake-test-stock", web = "shoplake-test-web" }
    error_message = "Contracts of the sources web, pos and [pos, stock] should give the streams web, pos and stock."
  }
}

run "only_stream_sources_are_read_by_conform" {
  command = plan

  assert {
    condition     = keys(aws_lambda_event_source_mapping.conform) == ["web"]
    error_message = "Only web has a dataset that is delivered as a stream."
  }
}

run "only_batch_sources_are_conformed_from_bronze" {
  command = plan

  assert {
    condition     = module.dirty_queue.object_prefixes == tolist(["silver/", "reference/", "bronze/pos/", "bronze/stock/"])
    error_message = "New objects in silver, reference/ and bronze of batch sources should send messages."
  }
}

run "name_that_buckets_cannot_have_is_rejected" {
  command = plan

  variables {
    environment = "Prod_EU"
  }
  expect_failures = [var.environment]
}

run "packages_must_be_built_first" {
  command = plan

  variables {
    packages_dir = "./tests/fixtures/schemas"
  }
  expect_failures = [var.packages_dir]
}
