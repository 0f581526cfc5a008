# What is watched, without a cloud: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment  = "test"
  packages_dir = "./tests/fixtures/packages"
  schemas_dir  = "./tests/fixtures/schemas"
}

run "what_follows_from_the_contracts_is_watched" {
  command = plan

  assert {
    condition     = keys(local.ingest_watches.delivery-stale.series) == ["pos", "stock", "web"]
    error_message = "Every source's delivery should be watched."
  }
  assert {
    condition     = length(setsubtract(["conform-lag", "function-errors-load", "dead-letters-dirty", "executions-failed-silver-to-gold", "kpi-latency"], module.alarms[0].names)) == 0
    error_message = "Streams, functions, dead letters, executions and KPIs should be watched."
  }
}

run "every_alarm_tells_somebody" {
  command = plan

  variables {
    prefix    = "shoplake-test"
    topic_arn = "arn:aws:sns:us-east-1:000000000000:alerts"
    watches = {
      rate = {
        area      = "ingest"
        title     = "Rate"
        says      = "Too much."
        threshold = 5
        periods   = 2
        of        = 3
        series = {
          web = {
            math = "100 * wrong / all"
            metrics = {
              wrong = { namespace = "N", name = "W", stat = "Sum", dimensions = { D = "web" } }
              all   = { namespace = "N", name = "A", stat = "Sum", dimensions = { D = "web" } }
            }
          }
        }
      }
      age = {
        area      = "ingest"
        title     = "Age"
        says      = "Too old."
        threshold = 1
        below     = true
        missing   = "breaching"
        series    = { "" = { math = null, metrics = { age = { namespace = "N", name = "G", stat = "Maximum", dimensions = {} } } } }
      }
    }
  }
  module {
    source = "./modules/alarms"
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.this) == ["age", "rate-web"]
    error_message = "There should be one alarm for each series."
  }
  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:000000000000:alerts"]) && alarm.ok_actions == alarm.alarm_actions
    ])
    error_message = "An alarm without an action is no alarm, and somebody who was woken wants to know when it is over."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length([for query in alarm.metric_query : query if query.return_data == true]) == 1])
    error_message = "CloudWatch compares exactly one line with the threshold."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["rate-web"].datapoints_to_alarm == 2 && aws_cloudwatch_metric_alarm.this["rate-web"].evaluation_periods == 3
    error_message = "2 of the last 3 periods."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["age"].comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.this["age"].treat_missing_data == "breaching"
    error_message = "What must not stay away alarms when it is missing."
  }
}

run "a_graph_shows_its_series_side_by_side" {
  command = plan

  variables {
    name       = "test"
    region     = "us-east-1"
    alarm_arns = ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:a"]
    areas      = [{ name = "one", title = "One" }, { name = "two", title = "Two" }]
    panels = [
      {
        area      = "one"
        title     = "Rate"
        threshold = 5
        series = { for name in ["crm", "web"] : name => {
          math = "IF(all >= 9, 100 * wrong / all, 0)"
          metrics = {
            wrong = { namespace = "N", name = "W", stat = "Sum", dimensions = { D = name } }
            all   = { namespace = "N", name = "A", stat = "Sum", dimensions = { D = name } }
          }
        } }
      },
      { area = "one", title = "B", series = {} },
      { area = "one", title = "C", series = {} },
      { area = "one", title = "D", series = {} },
      { area = "two", title = "E", series = { "" = { math = "SEARCH('x', 'Sum')" } } },
    ]
  }
  module {
    source = "./modules/dashboard"
  }

  assert {
    condition = [for line in local.lines["Rate"] : try(line[0].expression, line[1])] == [
      "A", "W", "IF(all0 >= 9, 100 * wrong0 / all0, 0)", "A", "W", "IF(all1 >= 9, 100 * wrong1 / all1, 0)",
    ]
    error_message = "Ids of different series must not meet on one graph."
  }
  assert {
    condition     = local.lines["E"][0][0].expression == "SEARCH('x', 'Sum')"
    error_message = "A search stays as it is."
  }
  assert {
    condition     = local.tops == [4, 17] && [for graph in local.graphs : [graph.x, graph.y]] == [[0, 5], [8, 5], [16, 5], [0, 11], [0, 18]]
    error_message = "Three graphs to a row, each area below the one before."
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 8
    error_message = "Alarms, two headings and five graphs."
  }
}

run "a_graph_of_no_area_is_refused" {
  command = plan

  variables {
    name       = "test"
    region     = "us-east-1"
    alarm_arns = []
    areas      = [{ name = "one", title = "One" }]
    panels     = [{ area = "two", title = "E", series = {} }]
  }
  module {
    source = "./modules/dashboard"
  }
  expect_failures = [var.panels]
}
