terraform {
  required_version = ">= 1.10.0"

  # Where the state is says `terraform init -backend-config=path=...`; on AWS an override file puts
  # it into S3 (README).
  backend "local" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

# Credentials and, for the local cloud, AWS_ENDPOINT_URL come from the environment, so nothing here
# knows a machine.
provider "aws" {
  region = var.region

  # LocalStack has no metadata service and knows no real credentials, and its buckets have no host
  # names of their own.
  skip_credentials_validation = var.local
  skip_metadata_api_check     = var.local
  skip_region_validation      = var.local
  s3_use_path_style           = var.local

  # Not locally: LocalStack forgets a new stream's tags, and every plan would want to set them
  # again.
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
