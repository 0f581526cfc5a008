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
  description = "Environments that are deployed to this account and region: one, unless environments_sharing_the_account names them all. Each gets a deploy role and a permissions boundary of its own."
  type        = set(string)

  validation {
    condition     = length(var.environments) > 0 && alltrue([for name in var.environments : contains(["dev", "staging", "prod"], name)])
    error_message = "The environments are some of dev, staging and prod."
  }
  validation {
    condition     = length(var.environments) == 1 || var.environments == var.environments_sharing_the_account
    error_message = "Each environment belongs in an account of its own. To have several in this one, name the same environments in environments_sharing_the_account."
  }
}

variable "environments_sharing_the_account" {
  description = "Environments that are accepted to share this account. They share its quotas, its API Gateway logging role and Lake Formation's administrators; what keeps a deployment away from the others are names and tags."
  type        = set(string)
  default     = []
}

variable "manage_api_gateway_account" {
  description = "Whether to set the region's one API Gateway logging role here. Set it to false where another Terraform root of the account does, or they overwrite each other."
  type        = bool
  default     = true
}

variable "github_repository" {
  description = "Repository whose deploy workflow may assume the roles: owner/name, or owner@<id>/name@<id> where GitHub puts ids into the subject of its tokens, as it does for repositories created, renamed or transferred since July 2026. Null when GitHub does not deploy."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+$|^[A-Za-z0-9_-]+@[0-9]+/[A-Za-z0-9._-]+@[0-9]+$", var.github_repository))
    error_message = "The repository must be owner/name or owner@<id>/name@<id>, with both ids or neither, without wildcards: every repository that fits may deploy."
  }
}

variable "github_names_without_ids" {
  description = "Whether a repository given with ids may also sign in by its names alone, while GitHub's setting changes over. Names can be given away; ids cannot."
  type        = bool
  default     = false

  validation {
    condition     = !var.github_names_without_ids || try(strcontains(var.github_repository, "@"), false)
    error_message = "github_names_without_ids is for a github_repository with ids: without them the names are what is trusted anyway."
  }
}

variable "create_github_provider" {
  description = "Whether to create GitHub's identity provider. An account has one: set it to false where it is there already."
  type        = bool
  default     = true
}
