output "data_key_arn" {
  description = "Key of the lake, the streams, the alerts and the logs."
  value       = aws_kms_key.data.arn
}

output "secrets_key_arn" {
  description = "Key of the shops' secrets."
  value       = aws_kms_key.secrets.arn
}
