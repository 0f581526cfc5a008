# The public API. The function checks headers, signatures and contents: API Gateway cannot verify
# the signature of a raw body, and its request validator compares header names case-sensitively, so
# it would reject `Webhook-Id`.

locals {
  stage = "api"

  integration = {
    type       = "aws_proxy"
    httpMethod = "POST"
    uri        = var.function_invoke_arn
  }
  # messageString is a JSON string with quotes.
  problem = { "application/problem+json" = "{\"type\":\"about:blank\",\"title\":\"$context.error.responseType\",\"detail\":$context.error.messageString}" }
  # A key selects the limits of a request; the signature authenticates the sender.
  key = var.requires_api_key ? { security = [{ shop_key = [] }] } : {}
  keys = { for name, value in {
    components                           = { securitySchemes = { shop_key = { type = "apiKey", name = "x-api-key", in = "header" } } }
    "x-amazon-apigateway-api-key-source" = "HEADER"
  } : name => value if var.requires_api_key }

  # TLS 1.2 or newer with forward secrecy: without a policy the default endpoint accepts TLS 1.0.
  # Policies with a mode require it; BASIC is the default. LocalStack supports neither.
  tls = var.tls_policy == null ? {} : {
    "x-amazon-apigateway-security-policy"      = var.tls_policy
    "x-amazon-apigateway-endpoint-access-mode" = "BASIC"
  }

  body = jsonencode(merge(local.keys, local.tls, {
    openapi = "3.0.1"
    info    = { title = var.name, version = "1" }

    paths = {
      "/v1/events/{dataset}" = {
        post = merge(local.key, {
          operationId                       = "postEvents"
          parameters                        = [{ name = "dataset", in = "path", required = true, schema = { type = "string" } }]
          responses                         = { "202" = { description = "Accepted" } }
          "x-amazon-apigateway-integration" = local.integration
        })
      }
      "/v1/health" = {
        get = {
          operationId                       = "getHealth"
          responses                         = { "200" = { description = "Healthy" } }
          "x-amazon-apigateway-integration" = local.integration
        }
      }
    }

    # Responses of API Gateway have the format of the function's. LocalStack keeps its own.
    "x-amazon-apigateway-gateway-responses" = {
      DEFAULT_4XX = { responseTemplates = local.problem }
      DEFAULT_5XX = { responseTemplates = local.problem }
      # Above 10 MB; the function responds the same from 3 MB on.
      REQUEST_TOO_LARGE = {
        responseTemplates = { "application/problem+json" = "{\"type\":\"urn:problem-type:shoplake:too-large\",\"title\":\"The request is too large\",\"status\":413,\"detail\":$context.error.messageString}" }
      }
      # API Gateway reports an unknown path as a missing token.
      MISSING_AUTHENTICATION_TOKEN = {
        statusCode        = 404
        responseTemplates = { "application/problem+json" = jsonencode({ type = "about:blank", title = "Not Found", status = 404 }) }
      }
    }
  }))
}

resource "aws_api_gateway_rest_api" "this" {
  name = var.name
  body = local.body
  # Null without a custom domain: unset instead of the default.
  disable_execute_api_endpoint = try(var.custom_domain.only, false) ? true : null

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  # The stage must be deleted before its API.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_deployment" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id

  # A deployment includes the setting of the default endpoint.
  triggers = {
    body   = sha256(local.body)
    closed = try(var.custom_domain.only, false)
  }

  # A stage always needs a deployment.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338: retention is a variable; bronze has the events
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

# The stage's execution log: errors (method_settings). API Gateway would create the group without
# retention and key.
resource "aws_cloudwatch_log_group" "execution" {
  #checkov:skip=CKV_AWS_338: retention is a variable; bronze has the events
  name              = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.this.id}/${local.stage}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_api_gateway_stage" "this" {
  #checkov:skip=CKV_AWS_120: POST responses are not cacheable
  #checkov:skip=CKV2_AWS_29: the root attaches the web ACL (waf.tf)
  #checkov:skip=CKV2_AWS_51: the backend is a function that only this API may invoke
  rest_api_id          = aws_api_gateway_rest_api.this.id
  deployment_id        = aws_api_gateway_deployment.this.id
  stage_name           = local.stage
  xray_tracing_enabled = true

  # No address and user agent, which are personal data. The request id links to the function's log.
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

}

resource "aws_api_gateway_method_settings" "this" {
  #checkov:skip=CKV_AWS_225: POST responses are not cacheable
  rest_api_id = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "*/*"

  settings {
    throttling_rate_limit  = var.throttle.rate
    throttling_burst_limit = var.throttle.burst
    metrics_enabled        = true
    logging_level          = "ERROR"
    # Bodies have personal data.
    data_trace_enabled = false
  }

  depends_on = [aws_cloudwatch_log_group.execution]
}

resource "aws_lambda_permission" "this" {
  for_each = { events = "POST/v1/events/*", health = "GET/v1/health" }

  statement_id  = "api-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = var.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.this.execution_arn}/${aws_api_gateway_stage.this.stage_name}/${each.value}"
}
