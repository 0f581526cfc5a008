variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "bucket" {
  description = "The lake's bucket."
  type        = string
}

variable "tables" {
  description = "Database (bronze, silver, gold, quarantine) -> table -> what catalog.json says of it: description, format, location, template, columns, partition_keys, key, repeats, personal."
  type        = any
}

variable "descriptions" {
  description = "What each database holds."
  type        = map(string)
}

variable "governed" {
  description = "Whether Lake Formation says who reads the tables."
  type        = bool
}

variable "first_day" {
  description = "First day that tables project; days before it are in the lake and are not seen."
  type        = string
}
