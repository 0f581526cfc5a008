output "stream_name" {
  description = "The stream's name."
  value       = aws_kinesis_stream.this.name
}

output "stream_arn" {
  description = "The stream's ARN."
  value       = aws_kinesis_stream.this.arn
}
