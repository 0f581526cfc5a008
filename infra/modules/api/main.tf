# The public door. The function checks headers, signatures and contents. API Gateway cannot check
# the signature of a raw body, and its request validator compares names of headers by their case: it
# would refuse `Webhook-Id`, as HTTP/1.1 clients send it.

locals {
  stage = "api"

  integration = {
    type       = "aws_proxy"
    httpMethod = "POST"
    uri        = var.function_invoke_arn
  }
  # messageString is the message as a JSON string, quotes included.
  problem = { "application/problem+json" = "{\"type\":\"about:blank\",\"title\":\"$context.error.responseType\",\"detail\":$context.error.messageString}" }
  # A key says whose limits a request counts against, and nothing else: who sent it proves the
  # signature.
  key = var.requires_api_key ? { security = [{ shop_key = [] }] } : {}
  keys = { for name, value in {
    components                           = { securitySchemes = { shop_key = { type = "apiKey", name = "x-api-key", in = "header" } } }
    "x-amazon-apigateway-api-key-source" = "HEADER"
  } : name => value if var.requires_api_key }

  # TLS 1.2 at least, with forward secrecy: without a policy API Gateway takes TLS 1.0 at its
  # default endpoint. BASIC is who may connect as before; the policies that have a mode want it
  # named. (LocalStack knows neither.)
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

    # What never reaches the function is answered in the same form as what does. (LocalStack keeps
    # its own answers.)
    "x-amazon-apigateway-gateway-responses" = {
      DEFAULT_4XX = { responseTemplates = local.problem }
      DEFAULT_5XX = { responseTemplates = local.problem }
      # Above 10 MB; the function answers the same from 3 MB on.
      REQUEST_TOO_LARGE = {
        responseTemplates = { "application/problem+json" = "{\"type\":\"urn:problem-type:shoplake:too-large\",\"title\":\"The request is too large\",\"status\":413,\"detail\":$context.error.messageString}" }
      }
      # API Gateway calls an unknown path a missing token.
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
  # Null where there is no other name: not set at all, rather than set to its default.
  disable_execute_api_endpoint = try(var.custom_domain.only, false) ? true : null

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  # A stage must never be without its API.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_deployment" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id

  # A deployment takes over the default endpoint's being closed, too.
  triggers = {
    body   = sha256(local.body)
    closed = try(var.custom_domain.only, false)
  }

  # A stage must never be without a deployment.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338: log_retention_days says how long; what has arrived is in bronze, and logs are for finding faults
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

# What a stage logs by itself, its errors (method_settings). API Gateway would create the group
# without an end and a key.
resource "aws_cloudwatch_log_group" "execution" {
  #checkov:skip=CKV_AWS_338: log_retention_days says how long; what has arrived is in bronze, and logs are for finding faults
  name              = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.this.id}/${local.stage}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_api_gateway_stage" "this" {
  #checkov:skip=CKV_AWS_120: events are posted, and there is nothing to cache
  #checkov:skip=CKV2_AWS_29: the root attaches the web ACL (waf.tf), which checkov does not follow across modules
  #checkov:skip=CKV2_AWS_51: a client certificate is for HTTP backends; this one is a function, which only this API may invoke
  rest_api_id          = aws_api_gateway_rest_api.this.id
  deployment_id        = aws_api_gateway_deployment.this.id
  stage_name           = local.stage
  xray_tracing_enabled = true

  # Neither address nor user agent: they are personal data, and the request id finds the rest in the
  # function's log.
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
  #checkov:skip=CKV_AWS_225: events are posted, and there is nothing to cache
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
