variable "region" {
  description = "AWS region of the states and of the environments."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must be an AWS region's code, such as eu-central-1."
  }
}

variable "environments" {
  description = <<-TEXT
    Environments in this account and region: one, unless environments_sharing_the_account lists them
    all. Each gets a deploy role and a permissions boundary.
  TEXT
  type        = set(string)

  validation {
    condition     = length(var.environments) > 0 && alltrue([for name in var.environments : contains(["dev", "staging", "prod"], name)])
    error_message = "The environments must be some of dev, staging and prod."
  }
  validation {
    condition     = length(var.environments) == 1 || var.environments == var.environments_sharing_the_account
    error_message = <<-TEXT
      Each environment needs its own account. To share this one, list the same environments in
      environments_sharing_the_account.
    TEXT
  }
}

variable "environments_sharing_the_account" {
  description = <<-TEXT
    Environments that share this account. They share its quotas, its API Gateway logging role and
    Lake Formation's administrators; names and tags separate their deployments.
  TEXT
  type        = set(string)
  default     = []
}

variable "manage_api_gateway_account" {
  description = <<-TEXT
    Whether to set the region's API Gateway logging role. Set it to false if another Terraform root
    of the account sets it, or they overwrite each other.
  TEXT
  type        = bool
  default     = true
}

variable "github_repository" {
  description = <<-TEXT
    Repository whose deploy workflow may assume the roles: owner/name, or owner@<id>/name@<id> if
    GitHub's tokens contain ids, as for repositories created, renamed or transferred since July
    2026. Null without GitHub.
  TEXT
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+$|^[A-Za-z0-9_-]+@[0-9]+/[A-Za-z0-9._-]+@[0-9]+$", var.github_repository))
    error_message = <<-TEXT
      The repository must be owner/name or owner@<id>/name@<id>, with both ids or neither, without
      wildcards: every matching repository may deploy.
    TEXT
  }
}

variable "github_names_without_ids" {
  description = <<-TEXT
    Whether a repository with ids is also trusted by its names alone, while GitHub's setting changes
    over. Names can be transferred to others, ids cannot.
  TEXT
  type        = bool
  default     = false

  validation {
    condition     = !var.github_names_without_ids || try(strcontains(var.github_repository, "@"), false)
    error_message = "github_names_without_ids needs a github_repository with ids."
  }
}

variable "create_github_provider" {
  description = <<-TEXT
    Whether to create GitHub's identity provider. Set it to false if the account has one.
  TEXT
  type        = bool
  default     = true
}
