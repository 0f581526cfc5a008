variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "bucket" {
  description = "The lake's bucket."
  type        = string
}

variable "tables" {
  description = <<-TEXT
    Database (bronze, silver, gold, quarantine) -> table -> its entry in catalog.json: description,
    format, location, template, columns, partition_keys, key, repeats, personal, intermediate.
  TEXT
  type        = any
}

variable "views" {
  description = "View of gold -> its entry in catalog.json: description, columns, key, sql."
  type        = any
}

variable "descriptions" {
  description = "Description of each database."
  type        = map(string)
}

variable "governed" {
  description = "Whether Lake Formation controls access to the tables."
  type        = bool
}

variable "first_day" {
  description = "First projected day; earlier days stay in the lake but are hidden."
  type        = string
}
