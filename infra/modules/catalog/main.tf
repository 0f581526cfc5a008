# Databases and tables of the Glue Data Catalog, from catalog.json. Partitions are projected from
# folder names: a new day needs no registration or crawl.

locals {
  # Names with hyphens need quotes in Athena.
  database_prefix = replace(var.prefix, "-", "_")

  tables = merge([
    for database, tables in var.tables : {
      for name, table in tables : "${database}.${name}" => merge(table, { database = database, name = name })
    }
  ]...)

  # Hours are projected as dates, too.
  date_formats = {
    date = { format = "yyyy-MM-dd", unit = "DAYS", first = "" }
    hour = { format = "yyyy-MM-dd'T'HH", unit = "HOURS", first = "T00" }
  }

  # The last projected day: contracts accept a day ahead of receipt (x-dataset.accepts.future), and
  # NOW is in UTC, so a shop ahead of UTC may be a date further.
  last_day = "NOW+2DAYS"

  # Projection settings by kind of partition key.
  projections = {
    for id, table in local.tables : id => merge([
      for key in table.partition_keys : {
        for property, value in {
          type            = key.projection.type == "hour" ? "date" : key.projection.type
          format          = try(local.date_formats[key.projection.type].format, null)
          interval        = try(local.date_formats[key.projection.type], null) == null ? null : "1"
          "interval.unit" = try(local.date_formats[key.projection.type].unit, null)
          range           = try("${var.first_day}${local.date_formats[key.projection.type].first},${local.last_day}", "0,${key.projection.last}", null)
          digits          = try(tostring(key.projection.digits), null)
          values          = try(join(",", key.projection.values), null)
        } : "projection.${key.name}.${property}" => value if value != null
      }
    ]...)
  }

  # Types of columns that Trino names otherwise than Hive.
  trino_types = { string = "varchar", timestamp = "timestamp(3)" }

  formats = {
    parquet = {
      input      = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
      output     = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
      serializer = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
      parameters = { "serialization.format" = "1" }
    }
    # This SerDe returns nested JSON as text for string columns. An invalid line is a row of nulls
    # and does not fail queries.
    json = {
      input      = "org.apache.hadoop.mapred.TextInputFormat"
      output     = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
      serializer = "org.openx.data.jsonserde.JsonSerDe"
      parameters = { "serialization.format" = "1", "ignore.malformed.json" = "true" }
    }
  }
}

# Databases and tables created before Lake Formation was enabled are granted to all IAM principals:
# every reader would see all rows. So they are recreated; they have no data.
resource "terraform_data" "governed" {
  input = var.governed
}

resource "aws_glue_catalog_database" "this" {
  for_each = var.tables

  name        = "${local.database_prefix}_${each.key}"
  description = var.descriptions[each.key]

  lifecycle {
    replace_triggered_by = [terraform_data.governed]
  }
}

resource "aws_glue_catalog_table" "this" {
  for_each = local.tables

  database_name = aws_glue_catalog_database.this[each.value.database].name
  name          = each.value.name
  description   = each.value.description
  table_type    = "EXTERNAL_TABLE"

  parameters = merge(local.projections[each.key], {
    EXTERNAL                    = "TRUE"
    classification              = each.value.format
    "projection.enabled"        = "true"
    "storage.location.template" = "s3://${var.bucket}/${each.value.template}"
    # For readers, and for tools that deduplicate or mask.
    row_key     = join(",", each.value.key)
    rows_repeat = tostring(each.value.repeats)
    personal    = join(",", each.value.personal)
  })

  storage_descriptor {
    location      = "s3://${var.bucket}/${each.value.location}"
    input_format  = local.formats[each.value.format].input
    output_format = local.formats[each.value.format].output

    ser_de_info {
      serialization_library = local.formats[each.value.format].serializer
      parameters            = local.formats[each.value.format].parameters
    }

    dynamic "columns" {
      for_each = each.value.columns

      content {
        name    = columns.value.name
        type    = columns.value.type
        comment = try(columns.value.description, null)
      }
    }
  }

  dynamic "partition_keys" {
    for_each = each.value.partition_keys

    content {
      name    = partition_keys.value.name
      type    = partition_keys.value.type
      comment = partition_keys.value.description
    }
  }

  lifecycle {
    replace_triggered_by = [terraform_data.governed]
  }
}

# A view is a table whose text has its query for Athena (Trino). The columns are there twice: with
# the types of Hive and of Trino.
resource "aws_glue_catalog_table" "view" {
  for_each = var.views

  database_name = aws_glue_catalog_database.this["gold"].name
  name          = each.key
  description   = each.value.description
  table_type    = "VIRTUAL_VIEW"

  view_expanded_text = "/* Presto View */"
  view_original_text = format("/* Presto View: %s */", base64encode(jsonencode({
    originalSql = replace(each.value.sql, "$${gold}", aws_glue_catalog_database.this["gold"].name)
    catalog     = "awsdatacatalog"
    schema      = aws_glue_catalog_database.this["gold"].name
    columns     = [for column in each.value.columns : { name = column.name, type = lookup(local.trino_types, column.type, column.type) }]
  })))

  parameters = {
    presto_view = "true"
    comment     = "Presto View"
    row_key     = join(",", each.value.key)
  }

  storage_descriptor {
    ser_de_info {
      name                  = "-"
      serialization_library = "-"
    }

    dynamic "columns" {
      for_each = each.value.columns

      content {
        name    = columns.value.name
        type    = columns.value.type
        comment = columns.value.description
      }
    }
  }

  lifecycle {
    replace_triggered_by = [terraform_data.governed]
  }
}
