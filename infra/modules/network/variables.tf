variable "prefix" {
  description = "shoplake-<environment>."
  type        = string
}

variable "region" {
  description = "Region of the VPC."
  type        = string
}

variable "cidr" {
  description = "CIDR block of the VPC, /16 to /20."
  type        = string
}

variable "availability_zones" {
  description = "Zones of the subnets, of which the first three are used; null for the region's."
  type        = list(string)
}

variable "egress" {
  description = <<-TEXT
    private: no internet access, interface endpoints. public_ip: public subnets, in which a task may
    request an address. nat: private subnets behind a NAT gateway.
  TEXT
  type        = string
}

variable "interface_endpoints" {
  description = <<-TEXT
    Policy (JSON) of each interface endpoint, by the service's short name. They exist in the mode
    private only.
  TEXT
  type        = map(string)
}

variable "interface_endpoint_zones" {
  description = "Number of zones of each endpoint."
  type        = number
}

variable "s3_policy" {
  description = "Policy (JSON) of the gateway endpoint of S3: the reachable buckets."
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
