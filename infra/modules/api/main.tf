# The public door. The function checks signatures and contents: API Gateway cannot sign-check a raw body.

locals {
  integration = {
    type       = "aws_proxy"
    httpMethod = "POST"
    uri        = var.function_invoke_arn
  }
  # messageString is the message as a JSON string, quotes included.
  problem = { "application/problem+json" = "{\"type\":\"about:blank\",\"title\":\"$context.error.responseType\",\"detail\":$context.error.messageString}" }

  body = jsonencode({
    openapi = "3.0.1"
    info    = { title = var.name, version = "1" }

    paths = {
      "/v1/events/{dataset}" = {
        post = {
          operationId                       = "postEvents"
          parameters                        = [{ name = "dataset", in = "path", required = true, schema = { type = "string" } }]
          responses                         = { "202" = { description = "Accepted" } }
          "x-amazon-apigateway-integration" = local.integration
        }
      }
      "/v1/health" = {
        get = {
          operationId                       = "getHealth"
          responses                         = { "200" = { description = "Healthy" } }
          "x-amazon-apigateway-integration" = local.integration
        }
      }
    }

    # What never reaches the function is answered in the same form as what does. (LocalStack keeps its own answers.)
    "x-amazon-apigateway-gateway-responses" = {
      DEFAULT_4XX = { responseTemplates = local.problem }
      DEFAULT_5XX = { responseTemplates = local.problem }
      # API Gateway calls an unknown path a missing token.
      MISSING_AUTHENTICATION_TOKEN = {
        statusCode        = 404
        responseTemplates = { "application/problem+json" = jsonencode({ type = "about:blank", title = "Not Found", status = 404 }) }
      }
    }
  })
}

resource "aws_api_gateway_rest_api" "this" {
  name = var.name
  body = local.body

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_deployment" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id

  triggers = {
    body = sha256(local.body)
  }

  # A stage must never be without a deployment.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_api_gateway_stage" "this" {
  rest_api_id          = aws_api_gateway_rest_api.this.id
  deployment_id        = aws_api_gateway_deployment.this.id
  stage_name           = "api"
  xray_tracing_enabled = true

  # Neither address nor user agent: they are personal data, and the request id finds the rest in the function's log.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.this.arn
    format = jsonencode({
      request_id           = "$context.requestId"
      trace_id             = "$context.xrayTraceId"
      requested_at         = "$context.requestTime"
      method               = "$context.httpMethod"
      resource             = "$context.resourcePath"
      path                 = "$context.path"
      status               = "$context.status"
      response_type        = "$context.error.responseType"
      integration_error    = "$context.integration.error"
      response_bytes       = "$context.responseLength"
      latency_milliseconds = "$context.responseLatency"
    })
  }

  # Without the account's logging role API Gateway refuses the access log.
  depends_on = [aws_api_gateway_account.this]
}

resource "aws_api_gateway_method_settings" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "*/*"

  settings {
    throttling_rate_limit  = var.throttle.rate
    throttling_burst_limit = var.throttle.burst
    metrics_enabled        = true
    logging_level          = "ERROR"
    # Bodies hold personal data.
    data_trace_enabled = false
  }
}

resource "aws_lambda_permission" "this" {
  for_each = { events = "POST/v1/events/*", health = "GET/v1/health" }

  statement_id  = "api-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = var.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.this.execution_arn}/${aws_api_gateway_stage.this.stage_name}/${each.value}"
}
