# API Gateway writes logs with one role per account and region, not per API.

data "aws_partition" "current" {}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["apigateway.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "logs" {
  count = var.manage_account ? 1 : 0

  name               = "${var.name}-logs"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

# Exception: broad on all log groups, but AWS documents this managed policy as the one that the account's role must have,
# and tests for it when the role is set.
resource "aws_iam_role_policy_attachment" "logs" {
  count = var.manage_account ? 1 : 0

  role       = aws_iam_role.logs[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "this" {
  count = var.manage_account ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.logs[0].arn

  depends_on = [aws_iam_role_policy_attachment.logs]
}
