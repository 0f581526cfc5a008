variable "region" {
  description = "AWS region of the states, and of what is deployed."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must be an AWS region's code, such as eu-central-1."
  }
}

variable "environments" {
  description = "Environments that are deployed to this account and region. Each gets a role of its own."
  type        = set(string)
  default     = ["dev", "staging", "prod"]

  validation {
    condition     = length(var.environments) > 0 && alltrue([for name in var.environments : contains(["dev", "staging", "prod"], name)])
    error_message = "The environments are some of dev, staging and prod."
  }
}

variable "manage_api_gateway_account" {
  description = "Whether to set the region's one API Gateway logging role here. Set it to false where another Terraform root of the account does, or they overwrite each other."
  type        = bool
  default     = true
}

variable "github_repository" {
  description = "Repository whose deploy workflow may assume the roles, as owner/name. Null when nobody deploys from GitHub."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "The repository must be owner/name, without wildcards: whoever fits may deploy."
  }
}

variable "create_github_provider" {
  description = "Whether to create GitHub's identity provider. An account has one: set it to false where it is there already."
  type        = bool
  default     = true
}
