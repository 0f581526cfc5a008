output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Subnets without a way in, one per zone; they have a way out in the mode nat only."
  value       = aws_subnet.private[*].id
}

output "public_subnet_ids" {
  description = "Subnets in which a public address works, one per zone; none in the mode private."
  value       = aws_subnet.public[*].id
}

output "private_route_table_id" {
  description = "Route table of the private subnets, for routes to networks of one's own."
  value       = aws_route_table.private.id
}

output "endpoint_security_group_id" {
  description = "Security group of the interface endpoints, which takes HTTPS from the private subnets."
  value       = aws_security_group.endpoints.id
}

output "s3_prefix_list_id" {
  description = "Prefix list of S3's addresses, to which security groups may let traffic out."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}

output "interface_endpoints" {
  description = "Services that have an interface endpoint."
  value       = keys(aws_vpc_endpoint.interface)
}

output "nat_ip" {
  description = "Address from which everything goes out in the mode nat, for a vendor's allow list; null otherwise."
  value       = one(values(aws_eip.nat)[*].public_ip)
}
