output "databases" {
  description = "Name of each database: bronze, silver, gold, quarantine."
  value       = { for database, created in aws_glue_catalog_database.this : database => created.name }
}

output "database_arns" {
  description = "ARN of each database."
  value       = { for database, created in aws_glue_catalog_database.this : database => created.arn }
}

output "table_arns" {
  description = "ARN of each table, by database.table."
  value       = { for id, created in aws_glue_catalog_table.this : id => created.arn }
}

output "tables" {
  description = "The tables, by database.table."
  value       = aws_glue_catalog_table.this
}

output "views" {
  description = "The views of gold, by name."
  value       = aws_glue_catalog_table.view
}
