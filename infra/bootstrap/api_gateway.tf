# API Gateway writes logs with one role per account and region, not per API: were it an
# environment's, removing that one would silence the others, too. Without it a stage that is to log
# is refused.

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
  description        = "What API Gateway writes the logs of its APIs with."
  assume_role_policy = data.aws_iam_policy_document.api_gateway.json
}

# Exception: broad on all log groups, but AWS documents this managed policy as the one that the
# account's role must have, and tests for it when the role is set.
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
