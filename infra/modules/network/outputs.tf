output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Private subnets, one per zone; with egress in the mode nat only."
  value       = aws_subnet.private[*].id
}

output "public_subnet_ids" {
  description = "Public subnets, one per zone; none in the mode private."
  value       = aws_subnet.public[*].id
}

output "private_route_table_id" {
  description = "Route table of the private subnets, for routes to your own networks."
  value       = aws_route_table.private.id
}

output "endpoint_security_group_id" {
  description = "Security group of the interface endpoints: HTTPS from the private subnets."
  value       = aws_security_group.endpoints.id
}

output "s3_prefix_list_id" {
  description = "Prefix list of S3, for egress rules."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}

output "interface_endpoints" {
  description = "Services with an interface endpoint."
  value       = keys(aws_vpc_endpoint.interface)
}

output "nat_ip" {
  description = "Address of egress in the mode nat, for allow lists of vendors; null otherwise."
  value       = one(values(aws_eip.nat)[*].public_ip)
}
