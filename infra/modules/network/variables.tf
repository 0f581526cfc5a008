variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "region" {
  description = "Region of the VPC."
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC, /16 to /20."
  type        = string
}

variable "availability_zones" {
  description = "Zones of the subnets, of which the first three are used; null for the region's."
  type        = list(string)
}

variable "egress" {
  description = "private: no way to the internet, interface endpoints instead. public_ip: public subnets, in which a task may ask for an address. nat: private subnets behind a NAT gateway."
  type        = string
}

variable "interface_endpoints" {
  description = "Policy (JSON) of the endpoint of each AWS service that is called from private subnets, by the service's short name. They exist in the mode private only."
  type        = map(string)
}

variable "interface_endpoint_zones" {
  description = "In how many zones each of them is."
  type        = number
}

variable "s3_policy" {
  description = "Policy (JSON) of the gateway endpoint of S3: which buckets are reached through it."
  type        = string
}

variable "log_retention_days" {
  description = "Days that flow logs are kept."
  type        = number
}

variable "log_key_arn" {
  description = "KMS key of the flow logs."
  type        = string
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the module's roles; null for none."
  type        = string
}
