# Catalog, queries, governance and notebook, without a cloud: `terraform test`. The tables are those
# of a small catalog.json with one table of each kind. That the real one describes every dataset and
# model is tested in crates/catalog.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }
}

variables {
  environment  = "test"
  region       = "eu-central-1"
  packages_dir = "./tests/fixtures/packages"
  schemas_dir  = "../crates/contracts/schemas"
}

run "every_table_of_the_catalog_projects_its_partitions" {
  command = plan

  assert {
    condition = toset(keys(module.catalog[0].tables)) == toset(flatten([
      for database, tables in local.catalog : [for name in keys(tables) : "${database}.${name}"]
    ]))
    error_message = "A table of catalog.json has no table in Glue."
  }
  assert {
    condition = module.catalog[0].tables["gold.revenue_by_region"].parameters == tomap({
      EXTERNAL                                 = "TRUE"
      classification                           = "parquet"
      "projection.enabled"                     = "true"
      "projection.business_date.type"          = "date"
      "projection.business_date.format"        = "yyyy-MM-dd"
      "projection.business_date.interval"      = "1"
      "projection.business_date.interval.unit" = "DAYS"
      "projection.business_date.range"         = "2000-01-01,NOW+2DAYS"
      "storage.location.template"              = "s3://shoplake-test-lake-000000000000/gold/revenue_by_region/business_date=$${business_date}/"
      row_key                                  = "shop_id,business_date,region,currency"
      rows_repeat                              = "false"
      personal                                 = ""
    })
    error_message = "The days of a model are not projected from its folders."
  }
  assert {
    condition     = module.catalog[0].tables["bronze.pos"].parameters["projection.hour.range"] == "0,23" && module.catalog[0].tables["bronze.pos"].parameters["projection.hour.digits"] == "2"
    error_message = "Hours are folders of two digits, from 00 to 23."
  }
  assert {
    condition = { for name, value in module.catalog[0].tables["gold.session_fragments"].parameters : name => value if startswith(name, "projection.") } == {
      "projection.enabled"                              = "true"
      "projection.started_hour_partition.type"          = "date"
      "projection.started_hour_partition.format"        = "yyyy-MM-dd'T'HH"
      "projection.started_hour_partition.interval"      = "1"
      "projection.started_hour_partition.interval.unit" = "HOURS"
      "projection.started_hour_partition.range"         = "2000-01-01T00,NOW+2DAYS"
    }
    error_message = "The hours of a model are not projected from its folders."
  }
  assert {
    condition     = module.catalog[0].tables["gold.orders_clean"].parameters["projection.bucket.range"] == "0,15" && module.catalog[0].tables["gold.orders_clean"].parameters["projection.bucket.digits"] == "4"
    error_message = "The buckets of a model are folders of four digits."
  }
  assert {
    condition     = contains(split(",", module.catalog[0].tables["quarantine.lines"].parameters["projection.dataset.values"]), "_unknown")
    error_message = "Lines without a known dataset should be in quarantine too."
  }
  assert {
    condition = alltrue([
      for table in values(module.catalog[0].tables) : length(setintersection(
        [for column in table.storage_descriptor[0].columns : column.name], [for key in table.partition_keys : key.name]
      )) == 0
    ])
    error_message = "A partition key must not be a column too."
  }
  assert {
    condition     = alltrue([for table in values(module.catalog[0].tables) : startswith(table.parameters["storage.location.template"], table.storage_descriptor[0].location)])
    error_message = "Partitions must be below their table's location, which is what Lake Formation governs."
  }
  assert {
    condition     = output.databases == tomap({ bronze = "shoplake_test_bronze", silver = "shoplake_test_silver", gold = "shoplake_test_gold", quarantine = "shoplake_test_quarantine" })
    error_message = "Names of databases should have no hyphens."
  }
  assert {
    condition     = length(aws_glue_crawler.bronze) + length(aws_sagemaker_notebook_instance.notebook) + length(aws_lakeformation_resource.lake) == 0
    error_message = "Optional parts should be off by default."
  }
}

run "view_has_its_query_for_athena" {
  command = plan

  assert {
    condition = jsondecode(base64decode(trimsuffix(trimprefix(
      module.catalog[0].views["revenue_by_month"].view_original_text, "/* Presto View: "), " */"
      ))) == {
      originalSql = "select * from \"shoplake_test_gold\".\"revenue_by_region\""
      catalog     = "awsdatacatalog"
      schema      = "shoplake_test_gold"
      columns = [
        { name = "shop_id", type = "varchar" },
        { name = "month", type = "date" },
        { name = "net_revenue", type = "decimal(38,4)" },
        { name = "last_sale_at", type = "timestamp(3)" },
      ]
    }
    error_message = "Athena reads the query and the columns of a view from its text."
  }
  assert {
    condition = (
      module.catalog[0].views["revenue_by_month"].table_type == "VIRTUAL_VIEW"
      && module.catalog[0].views["revenue_by_month"].parameters["presto_view"] == "true"
      && module.catalog[0].views["revenue_by_month"].database_name == "shoplake_test_gold"
      && [for column in module.catalog[0].views["revenue_by_month"].storage_descriptor[0].columns : column.type] == ["string", "date", "decimal(38,4)", "timestamp"]
    )
    error_message = "A view is a table of Glue, whose columns have the types of Hive."
  }
}

run "the_local_cloud_has_no_catalog" {
  command = plan

  variables {
    local = true
  }
  assert {
    condition     = length(module.catalog) + length(module.athena) + length(aws_athena_named_query.this) == 0 && output.athena == null && length(output.databases) == 0
    error_message = "LocalStack has neither Glue nor Athena."
  }
}

run "queries_are_bounded_and_their_results_protected" {
  command = plan

  assert {
    condition = alltrue([
      for workgroup in values(module.athena[0].workgroups) :
      workgroup.configuration[0].enforce_workgroup_configuration
      && workgroup.configuration[0].bytes_scanned_cutoff_per_query == 100 * 1024 * 1024 * 1024
      && workgroup.configuration[0].result_configuration[0].encryption_configuration[0].encryption_option == "SSE_KMS"
      && startswith(workgroup.configuration[0].result_configuration[0].output_location, "s3://shoplake-test-athena-000000000000/")
    ])
    error_message = "Workgroups should enforce their settings: limit of scanned bytes and encrypted results."
  }
  assert {
    condition     = length(aws_athena_named_query.this) >= 5 && alltrue([for query in values(aws_athena_named_query.this) : length(query.description) > 20 && length(query.description) <= 1024 && !strcontains(query.query, "$${")])
    error_message = "A saved query should have a description (its first comment) and database names."
  }
}

run "shop_reader_sees_only_its_rows_and_results" {
  command = plan

  variables {
    lake_formation = {
      admins       = ["arn:aws:iam::000000000000:role/deploy"]
      shop_readers = { acme = "arn:aws:iam::000000000000:role/acme", "0-globex_2" = "arn:aws:iam::000000000000:role/globex" }
      lake_readers = ["arn:aws:iam::000000000000:role/analysts"]
      silver       = true
    }
  }

  assert {
    condition     = alltrue([for id, filter in aws_lakeformation_data_cells_filter.shop : filter.table_data[0].row_filter[0].filter_expression == "shop_id = '${split("/", id)[0]}'"])
    error_message = "A filter is not the shop's."
  }
  assert {
    condition     = length(aws_lakeformation_data_cells_filter.shop) == 2 * length([for id in keys(module.catalog[0].tables) : id if startswith(id, "gold.") || startswith(id, "silver.")])
    error_message = "Every table of gold and silver needs a filter per shop."
  }
  assert {
    condition     = keys(aws_lakeformation_permissions.shop_rows) == keys(aws_lakeformation_data_cells_filter.shop) && alltrue([for grant in values(aws_lakeformation_permissions.shop_rows) : toset(grant.permissions) == toset(["SELECT"])])
    error_message = "Each filter is granted to its shop, and for reading only."
  }
  assert {
    condition = {
      for id, grant in aws_lakeformation_permissions.shop_views : id => [grant.principal, grant.table[0].name]
      } == {
      "acme/revenue_by_month"       = ["arn:aws:iam::000000000000:role/acme", "revenue_by_month"]
      "0-globex_2/revenue_by_month" = ["arn:aws:iam::000000000000:role/globex", "revenue_by_month"]
    }
    error_message = "A shop's reader reads the views, over its rows of their tables."
  }
  assert {
    condition     = toset(aws_lakeformation_data_cells_filter.shop["acme/silver.crm_interactions"].table_data[0].column_wildcard[0].excluded_column_names) == toset(local.catalog.silver.crm_interactions.personal)
    error_message = "Personal columns of silver are not left out."
  }
  assert {
    condition     = length(distinct([for workgroup in values(module.athena[0].workgroups) : workgroup.configuration[0].result_configuration[0].output_location])) == 3
    error_message = "Two readers would see each other's results."
  }
  assert {
    condition     = length(aws_lakeformation_data_lake_settings.this[0].create_table_default_permissions) == 0 && length(aws_lakeformation_data_lake_settings.this[0].create_database_default_permissions) == 0
    error_message = "New tables should not be granted to all IAM principals."
  }
}

run "shop_reader_sees_no_intermediate_model_by_default" {
  command = plan

  variables {
    lake_formation = {
      admins       = ["arn:aws:iam::000000000000:role/deploy"]
      shop_readers = { acme = "arn:aws:iam::000000000000:role/acme" }
    }
  }

  assert {
    condition     = toset(keys(aws_lakeformation_permissions.shop_rows)) == toset(["acme/gold.customer_features", "acme/gold.revenue_by_region"])
    error_message = "Without silver = true, a shop's reader should read the marts only."
  }
}

run "shop_id_that_ends_the_filter_is_rejected" {
  command = plan

  variables {
    lake_formation = {
      admins       = ["arn:aws:iam::000000000000:role/deploy"]
      shop_readers = { "x' or '1' = '1" = "arn:aws:iam::000000000000:role/x" }
    }
  }
  expect_failures = [var.lake_formation]
}

run "reader_of_two_shops_is_rejected" {
  command = plan

  variables {
    lake_formation = {
      admins       = ["arn:aws:iam::000000000000:role/deploy"]
      shop_readers = { acme = "arn:aws:iam::000000000000:role/both", zeta = "arn:aws:iam::000000000000:role/both" }
    }
  }
  expect_failures = [var.lake_formation]
}

run "notebook_has_no_internet_access" {
  command = plan

  variables {
    notebook = { queries = true }
  }

  assert {
    condition = (
      aws_sagemaker_notebook_instance.notebook["customer-segments"].direct_internet_access == "Disabled"
      && aws_sagemaker_notebook_instance.notebook["customer-segments"].root_access == "Disabled"
      && aws_sagemaker_notebook_instance.notebook["customer-segments"].instance_metadata_service_configuration[0].minimum_instance_metadata_service_version == "2"
    )
    error_message = "The notebook should have no internet access, no root, and metadata with tokens only."
  }
  assert {
    condition     = keys(aws_vpc_endpoint.notebook) == ["athena", "glue"] && length(aws_vpc_security_group_egress_rule.notebook_nat) == 0
    error_message = "Without a NAT it reaches Athena and Glue by endpoints, and nothing else."
  }
  assert {
    condition     = toset(keys(aws_s3_object.notebook)) == fileset("./notebooks", "*.ipynb")
    error_message = "Every notebook of the repository is uploaded."
  }
  assert {
    condition     = strcontains(base64decode(aws_sagemaker_notebook_instance_lifecycle_configuration.notebook["customer-segments"].on_start), "SHOPLAKE_FEATURES='s3://shoplake-test-lake-000000000000/gold/customer_features?region=eu-central-1'")
    error_message = "The notebook should have the location of the features."
  }
}

run "crawler_covers_every_source" {
  command = plan

  variables {
    bronze_crawler = true
  }
  assert {
    condition     = toset([for target in aws_glue_crawler.bronze["bronze"].s3_target : target.path]) == toset([for source in local.sources : "s3://shoplake-test-lake-000000000000/bronze/${source}/"])
    error_message = "A source is not crawled."
  }
}
