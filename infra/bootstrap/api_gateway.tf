# API Gateway logs with one role per account and region. If an environment owned it, deleting that
# environment would stop the logs of the others. Without the role, a stage with logs is rejected.

data "aws_iam_policy_document" "api_gateway" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["apigateway.amazonaws.com"]
    }
    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role" "api_gateway" {
  count = var.manage_api_gateway_account ? 1 : 0

  name               = "shoplake-api-gateway-logs-${var.region}"
  description        = "Writes the logs of API Gateway."
  assume_role_policy = data.aws_iam_policy_document.api_gateway.json
}

# Exception: all log groups, because AWS requires this managed policy for the account's role and
# checks it.
resource "aws_iam_role_policy_attachment" "api_gateway" {
  count = var.manage_api_gateway_account ? 1 : 0

  role       = aws_iam_role.api_gateway[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "this" {
  count = var.manage_api_gateway_account ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.api_gateway[0].arn

  depends_on = [aws_iam_role_policy_attachment.api_gateway]
}
