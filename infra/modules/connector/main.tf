# A connector: image repository, task definition, roles.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  name      = "${var.prefix}-${var.name}-connector"
  container = "connector"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  checkpoints = "state/connectors/${var.name}/*"

  # Without an image there is no task: the repository must exist before the first push.
  images = var.image_tag == null ? {} : { tagged = "${aws_ecr_repository.this.repository_url}:${var.image_tag}" }
}

resource "aws_ecr_repository" "this" {
  name                 = local.name
  image_tag_mutability = "IMMUTABLE" # A tag always means the same image.
  force_delete         = true        # Images can be built again.

  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Untagged images of failed pushes"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 1 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Images for rollbacks"
        selection    = { tagStatus = "tagged", tagPatternList = ["*"], countType = "imageCountMoreThan", countNumber = 20 }
        action       = { type = "expire" }
      },
    ]
  })
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338: retention is a variable; logs are for debugging, CloudTrail for audits
  name              = "/aws/ecs/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.key_arn
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:ecs:${var.region}:${local.account}:*"]
    }
  }
}

# ---- execution role: ECS pulls the image and opens the log ---------------------------------------

data "aws_iam_policy_document" "execution" {
  # Exception: the token belongs to the registry, so the action has no resources.
  statement {
    sid       = "GetRegistryToken"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "PullImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [aws_ecr_repository.this.arn]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
}

resource "aws_iam_role" "execution" {
  name                 = "${local.name}-execution"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

# ---- task role -----------------------------------------------------------------------------------

data "aws_iam_policy_document" "task" {
  statement {
    sid       = "PutRecords"
    actions   = ["kinesis:PutRecords"]
    resources = [var.stream_arn]
  }

  statement {
    sid       = "EncryptRecords"
    actions   = ["kms:GenerateDataKey"]
    resources = [var.key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["kinesis.${var.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "WriteCheckpoints"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${var.lake_bucket_arn}/${local.checkpoints}"]
  }

  # Without s3:ListBucket S3 responds 403 instead of 404 for the checkpoint of a new batch. It
  # checks that permission without a prefix, hence IfExists.
  statement {
    sid       = "ListCheckpoints"
    actions   = ["s3:ListBucket"]
    resources = [var.lake_bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = [local.checkpoints]
    }
  }

  statement {
    sid       = "UseTheLakesKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }

  dynamic "statement" {
    for_each = length(var.token_parameter_arns) == 0 ? [] : [var.token_parameter_arns]

    content {
      sid       = "ReadTokens"
      actions   = ["ssm:GetParameter"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(var.token_parameter_arns) == 0 ? [] : [var.token_parameter_arns]

    content {
      sid       = "DecryptTokens"
      actions   = ["kms:Decrypt"]
      resources = [var.secrets_key_arn]

      condition {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:PARAMETER_ARN"
        values   = statement.value
      }
    }
  }
}

resource "aws_iam_role" "task" {
  name                 = local.name
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "task" {
  name   = "work"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.images

  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory_mb
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = upper(var.architecture)
  }

  container_definitions = jsonencode([{
    name                   = local.container
    image                  = each.value
    essential              = true
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    # The connector has no signal handler: as the container's first process it would ignore SIGTERM.
    linuxParameters = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    environment = [for name, value in merge({ RUST_LOG = "info" }, var.environment, {
      STREAM_NAME = var.stream_name
      LAKE_BUCKET = var.lake_bucket
    }) : { name = name, value = value }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = var.region
        "awslogs-stream-prefix" = "task"
      }
    }
  }])

  # A task that starts before its roles have permissions fails.
  depends_on = [aws_iam_role_policy.execution, aws_iam_role_policy.task]
}
