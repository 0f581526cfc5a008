terraform {
  required_version = ">= 1.10.0"

  # `terraform init -backend-config=path=...` sets the state's file; on AWS an override file stores
  # it in S3 (README).
  backend "local" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

# Credentials and, for the local cloud, AWS_ENDPOINT_URL come from the environment.
provider "aws" {
  region = var.region

  # LocalStack has no metadata service, no real credentials, and no host names for buckets.
  skip_credentials_validation = var.local
  skip_metadata_api_check     = var.local
  skip_region_validation      = var.local
  s3_use_path_style           = var.local

  # Not locally: LocalStack loses a new stream's tags, and every plan would show a change.
  default_tags {
    tags = var.local ? {} : merge(var.tags, {
      Project     = "shoplake"
      Environment = var.environment
      ManagedBy   = "terraform"
    })
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
